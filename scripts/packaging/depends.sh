#!/usr/bin/env bash
# Prints the Debian packages that programs and libraries need, as a line for a control file, from what they are
# linked against. A library that is in none of the known packages, nor among the files themselves, is an error.
#
#   scripts/packaging/depends.sh FILE…
set -euo pipefail
export LC_ALL=C

declare -A least=() # package → least version, or empty

# newest PREFIX prints the newest version that the files ask for of symbols with that prefix.
newest() { sed -n "s/^$1_\([0-9][0-9.]*\)$/\1/p" <<<"$versions" | sort -V | tail -n1; }

# gcc_of prints the GCC whose libstdc++ first had this version of its symbols.
gcc_of() {
  case $1 in
  3.4.29) echo 11 ;;
  3.4.28) echo 9.3 ;;
  3.4.2[1-7] | 3.4.1? | 3.4.20 | 3.4.? | 3.4) echo 9 ;;
  *) echo 12 ;;
  esac
}

# opencv NUMBER VERSION adds the package of the OpenCV library.
opencv() {
  local name=${library#libopencv_}
  least[libopencv-${name%.so."$1"}$1]=$2+dfsg
}

versions=$(readelf -VW "$@" | grep -oE '\b(GLIBC|GLIBCXX|GCC)_[0-9.]+' | sort -u)
libraries=$(readelf -dW "$@" | sed -n 's/.*(NEEDED).*\[\(.*\)\]/\1/p' | sort -u)
own=" ${*##*/} "
for library in $libraries; do
  case $library in
  ld-linux*.so.* | lib[cm].so.6 | libdl.so.2 | librt.so.1 | libpthread.so.0) least[libc6]=$(newest GLIBC) ;;
  libstdc++.so.6) least[libstdc++6]=$(gcc_of "$(newest GLIBCXX)") ;;
  libgcc_s.so.1) least[libgcc-s1]=$(newest GCC) ;;
  libopencv_*.so.406) opencv 406 4.6.0 ;; # Debian 12's
  libopencv_*.so.410) opencv 410 4.10.0 ;; # Debian 13's
  *)
    [[ $own == *" $library "* ]] || {
      echo "depends: $library is in no package known here: add it to scripts/packaging/depends.sh" >&2
      exit 1
    }
    ;;
  esac
done
for package in $(printf '%s\n' "${!least[@]}" | sort); do
  printf '%s\n' "$package${least[$package]:+ (>= ${least[$package]})}"
done | paste -sd, | sed 's/,/, /g'
