package main

import (
	"strings"
	"testing"

	"xbmedge/internal/testdata"
)

func TestInspectRealFile(t *testing.T) {
	listing, _, err := convert(t, "inspect", testdata.File(t, "tflite/custom_op.tflite"))
	if err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(listing, `CUSTOM "fake-op-double"`) {
		t.Errorf("no custom operator in\n%s", listing)
	}
}

func TestInspectCosts(t *testing.T) {
	needTFLite(t)
	for file, want := range map[string][]string{
		"tflite/vww_96_int8.tflite":                            {"XNNPACK computes 28 of 31 operators", "AVERAGE_POOL_2D    int8   1      0 ", "7489664 MACs"},
		"tflite/custom_op.tflite":                              {"not known: open model", "fake-op-double"},
		"tflite/mobilenet_v1_quant_embedding_extractor.tflite": {"XNNPACK computes 0 of 28 operators"},
	} {
		listing, _, err := convert(t, "inspect", testdata.File(t, file))
		if err != nil {
			t.Fatal(err)
		}
		for _, text := range want {
			if !strings.Contains(listing, text) {
				t.Errorf("%s: no %q in\n%s", file, text, listing)
			}
		}
	}
}
