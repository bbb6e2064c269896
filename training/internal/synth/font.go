package synth

// glyphs returns capital letters of 5×7 dots, row by row from the top, a '#' for ink.
func glyphs() map[byte][7]string {
	return map[byte][7]string{
		'A': {" ### ", "#   #", "#   #", "#####", "#   #", "#   #", "#   #"},
		'B': {"#### ", "#   #", "#   #", "#### ", "#   #", "#   #", "#### "},
		'C': {" ####", "#    ", "#    ", "#    ", "#    ", "#    ", " ####"},
		'D': {"#### ", "#   #", "#   #", "#   #", "#   #", "#   #", "#### "},
		'E': {"#####", "#    ", "#    ", "#### ", "#    ", "#    ", "#####"},
		'F': {"#####", "#    ", "#    ", "#### ", "#    ", "#    ", "#    "},
		'G': {" ####", "#    ", "#    ", "#  ##", "#   #", "#   #", " ####"},
		'H': {"#   #", "#   #", "#   #", "#####", "#   #", "#   #", "#   #"},
		'I': {" ### ", "  #  ", "  #  ", "  #  ", "  #  ", "  #  ", " ### "},
		'J': {"  ###", "   # ", "   # ", "   # ", "   # ", "#  # ", " ##  "},
		'K': {"#   #", "#  # ", "# #  ", "##   ", "# #  ", "#  # ", "#   #"},
		'L': {"#    ", "#    ", "#    ", "#    ", "#    ", "#    ", "#####"},
		'M': {"#   #", "## ##", "# # #", "# # #", "#   #", "#   #", "#   #"},
		'N': {"#   #", "##  #", "# # #", "#  ##", "#   #", "#   #", "#   #"},
		'O': {" ### ", "#   #", "#   #", "#   #", "#   #", "#   #", " ### "},
		'P': {"#### ", "#   #", "#   #", "#### ", "#    ", "#    ", "#    "},
		'Q': {" ### ", "#   #", "#   #", "#   #", "# # #", "#  # ", " ## #"},
		'R': {"#### ", "#   #", "#   #", "#### ", "# #  ", "#  # ", "#   #"},
		'S': {" ####", "#    ", "#    ", " ### ", "    #", "    #", "#### "},
		'T': {"#####", "  #  ", "  #  ", "  #  ", "  #  ", "  #  ", "  #  "},
		'U': {"#   #", "#   #", "#   #", "#   #", "#   #", "#   #", " ### "},
		'V': {"#   #", "#   #", "#   #", "#   #", "#   #", " # # ", "  #  "},
		'W': {"#   #", "#   #", "#   #", "# # #", "# # #", "## ##", "#   #"},
		'X': {"#   #", "#   #", " # # ", "  #  ", " # # ", "#   #", "#   #"},
		'Y': {"#   #", "#   #", " # # ", "  #  ", "  #  ", "  #  ", "  #  "},
		'Z': {"#####", "    #", "   # ", "  #  ", " #   ", "#    ", "#####"},
	}
}

// lettering is a word as a field of dots, ready to be asked for ink.
type lettering struct {
	width int // in dots, one between letters
	dots  [7][]bool
}

func newLettering(word string, font map[byte][7]string) lettering {
	l := lettering{width: 6*len(word) - 1}
	for y := range l.dots {
		l.dots[y] = make([]bool, l.width)
		for i := range len(word) {
			for x, c := range font[word[i]][y] {
				l.dots[y][6*i+x] = c == '#'
			}
		}
	}
	return l
}

// ink reports whether there is ink at x, y in dots from the upper left corner.
func (l *lettering) ink(x, y float64) bool {
	return x >= 0 && y >= 0 && x < float64(l.width) && y < 7 && l.dots[int(y)][int(x)]
}
