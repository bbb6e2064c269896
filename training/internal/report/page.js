"use strict";
// Comfort only: without scripts, as in most mail readers, everything is there all the same.

// A click on a column's head sorts the classes by it, a second one the other way round.
(function () {
  const body = document.getElementById("class-rows");
  const heads = document.querySelectorAll("#class-table thead th");
  heads.forEach(function (head, column) {
    const button = document.createElement("button");
    button.type = "button";
    button.append(...head.childNodes);
    head.append(button);
    button.addEventListener("click", function () {
      const order = head.getAttribute("aria-sort") === "ascending" ? "descending" : "ascending";
      heads.forEach(function (other) { other.removeAttribute("aria-sort"); });
      head.setAttribute("aria-sort", order);
      const key = function (row) {
        const text = row.cells[column].textContent;
        return column === 0 || column === heads.length - 1 ? text : Number(text);
      };
      const rows = Array.from(body.rows).sort(function (a, b) {
        const x = key(a), y = key(b);
        const less = typeof x === "string" ? x.localeCompare(y) : x - y;
        return order === "ascending" ? less : -less;
      });
      body.append(...rows);
    });
  });
})();

// A name in the legend shows its class alone, and again all.
(function () {
  const legend = document.getElementById("legend");
  const map = document.querySelector("svg.map");
  if (!legend || !map) { return; }
  legend.addEventListener("click", function (event) {
    const button = event.target.closest("button");
    if (!button) { return; }
    const on = button.getAttribute("aria-pressed") !== "true";
    legend.querySelectorAll("[aria-pressed]").forEach(function (b) { b.removeAttribute("aria-pressed"); });
    map.querySelectorAll(".on").forEach(function (e) { e.classList.remove("on"); });
    map.classList.toggle("chosen", on);
    if (!on) { return; }
    button.setAttribute("aria-pressed", "true");
    map.querySelectorAll('[data-class="' + button.dataset.class + '"]').forEach(function (e) { e.classList.add("on"); });
  });
})();

// A tap says what a mouse learns by pointing.
(function () {
  const said = document.getElementById("said");
  document.addEventListener("click", function (event) {
    const title = event.target.querySelector && event.target.querySelector(":scope > title");
    const text = title && event.target.closest("svg") ? title.textContent : event.target.tagName === "IMG" ? event.target.title : "";
    said.textContent = text;
    said.hidden = !text;
  });
})();
