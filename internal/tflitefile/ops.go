package tflitefile

import (
	"fmt"
	"strings"
)

// Op is the number of a built-in operator, as in the file.
type Op int32

// The operators this package writes or reads as layers, and Custom, which stands for one named by its model.
const (
	Add             Op = 0
	AveragePool2D   Op = 1
	Concatenation   Op = 2
	Conv2D          Op = 3
	DepthwiseConv2D Op = 4
	Dequantize      Op = 6
	FullyConnected  Op = 9
	L2Normalization Op = 11
	Logistic        Op = 14
	MaxPool2D       Op = 17
	Mul             Op = 18
	Relu            Op = 19
	Relu6           Op = 21
	Reshape         Op = 22
	Softmax         Op = 25
	Custom          Op = 32
	Pad             Op = 34
	Mean            Op = 40
	Sub             Op = 41
	Div             Op = 42
	Squeeze         Op = 43
	Maximum         Op = 55
	Minimum         Op = 57
	ExpandDims      Op = 70
	Pow             Op = 78
	Quantize        Op = 114
	HardSwish       Op = 117
)

func (o Op) String() string {
	names := strings.Fields(opNames)
	if o < 0 || int(o) >= len(names) {
		return fmt.Sprintf("operator %d", int32(o))
	}
	return names[o]
}

// lowestVersion is the first version of the operator that knows int8 with one scale per channel, or float32.
// A higher version would be refused by runtimes that are old enough to know only the lower one.
func lowestVersion(op Op, int8s, keepDims bool) int {
	switch {
	case op == FullyConnected && keepDims:
		return 5
	case !int8s:
		return 1
	}
	switch op {
	case Conv2D, DepthwiseConv2D:
		return 3
	case FullyConnected:
		return 4
	case Add, Mean, Mul, Pad, Maximum, MaxPool2D, AveragePool2D, Concatenation, Logistic, Quantize, Dequantize:
		return 2
	}
	return 1
}

// opNames lists the built-in operators in the order of their numbers.
const opNames = `
ADD AVERAGE_POOL_2D CONCATENATION CONV_2D DEPTHWISE_CONV_2D DEPTH_TO_SPACE DEQUANTIZE EMBEDDING_LOOKUP
FLOOR FULLY_CONNECTED HASHTABLE_LOOKUP L2_NORMALIZATION L2_POOL_2D LOCAL_RESPONSE_NORMALIZATION LOGISTIC
LSH_PROJECTION LSTM MAX_POOL_2D MUL RELU RELU_N1_TO_1 RELU6 RESHAPE RESIZE_BILINEAR RNN SOFTMAX
SPACE_TO_DEPTH SVDF TANH CONCAT_EMBEDDINGS SKIP_GRAM CALL CUSTOM EMBEDDING_LOOKUP_SPARSE PAD
UNIDIRECTIONAL_SEQUENCE_RNN GATHER BATCH_TO_SPACE_ND SPACE_TO_BATCH_ND TRANSPOSE MEAN SUB DIV SQUEEZE
UNIDIRECTIONAL_SEQUENCE_LSTM STRIDED_SLICE BIDIRECTIONAL_SEQUENCE_RNN EXP TOPK_V2 SPLIT LOG_SOFTMAX
DELEGATE BIDIRECTIONAL_SEQUENCE_LSTM CAST PRELU MAXIMUM ARG_MAX MINIMUM LESS NEG PADV2 GREATER
GREATER_EQUAL LESS_EQUAL SELECT SLICE SIN TRANSPOSE_CONV SPARSE_TO_DENSE TILE EXPAND_DIMS EQUAL NOT_EQUAL
LOG SUM SQRT RSQRT SHAPE POW ARG_MIN FAKE_QUANT REDUCE_PROD REDUCE_MAX PACK LOGICAL_OR ONE_HOT LOGICAL_AND
LOGICAL_NOT UNPACK REDUCE_MIN FLOOR_DIV REDUCE_ANY SQUARE ZEROS_LIKE FILL FLOOR_MOD RANGE
RESIZE_NEAREST_NEIGHBOR LEAKY_RELU SQUARED_DIFFERENCE MIRROR_PAD ABS SPLIT_V UNIQUE CEIL REVERSE_V2 ADD_N
GATHER_ND COS WHERE RANK ELU REVERSE_SEQUENCE MATRIX_DIAG QUANTIZE MATRIX_SET_DIAG ROUND HARD_SWISH IF
WHILE NON_MAX_SUPPRESSION_V4 NON_MAX_SUPPRESSION_V5 SCATTER_ND SELECT_V2 DENSIFY SEGMENT_SUM BATCH_MATMUL
PLACEHOLDER_FOR_GREATER_OP_CODES CUMSUM CALL_ONCE BROADCAST_TO RFFT2D CONV_3D IMAG REAL COMPLEX_ABS
HASHTABLE HASHTABLE_FIND HASHTABLE_IMPORT HASHTABLE_SIZE REDUCE_ALL CONV_3D_TRANSPOSE VAR_HANDLE
READ_VARIABLE ASSIGN_VARIABLE BROADCAST_ARGS RANDOM_STANDARD_NORMAL BUCKETIZE RANDOM_UNIFORM MULTINOMIAL
GELU DYNAMIC_UPDATE_SLICE RELU_0_TO_1 UNSORTED_SEGMENT_PROD UNSORTED_SEGMENT_MAX UNSORTED_SEGMENT_SUM ATAN2
UNSORTED_SEGMENT_MIN SIGN BITCAST BITWISE_XOR RIGHT_SHIFT`
