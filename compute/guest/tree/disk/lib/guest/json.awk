# Prints each scalar of a JSON text as a line: the path to it, its parts joined by
# "/" and counted from 0 in lists, a tab, and the value. Characters that would
# break a line become spaces; a newline at the end of a value is dropped.
{ text = text $0 "\n" }
END { value("") }

function blank() { sub(/^[ \t\r\n]+/, "", text) }

function value(path,    first, i, name) {
	blank()
	first = substr(text, 1, 1)
	if (first == "{" || first == "[") {
		text = substr(text, 2)
		for (i = 0; i < 10000; i++) {
			blank()
			if (text ~ /^[]}]/) { text = substr(text, 2); return }
			if (text == "") exit 1
			name = i
			if (first == "{") {
				name = string()
				blank()
				text = substr(text, 2) # the colon
			}
			value(path == "" ? name : path "/" name)
			blank()
			if (substr(text, 1, 1) == ",") text = substr(text, 2)
		}
		exit 1
	}
	if (first == "\"") { print path "\t" string(); return }
	if (!match(text, /^[-+.0-9a-zA-Z]+/)) exit 1
	name = substr(text, 1, RLENGTH)
	text = substr(text, RLENGTH + 1)
	if (name != "null") print path "\t" name
}

function string(    s, c, out, at) {
	if (!match(text, /^"([^"\\]|\\.)*"/)) exit 1
	s = substr(text, 2, RLENGTH - 2)
	text = substr(text, RLENGTH + 1)
	out = ""
	while ((at = index(s, "\\")) > 0) {
		out = out substr(s, 1, at - 1)
		c = substr(s, at + 1, 1)
		s = substr(s, at + 2)
		if (c == "u") {
			c = sprintf("%c", hex(substr(s, 1, 4)))
			s = substr(s, 5)
		}
		else if (c == "n" && s == "") c = ""
		else if (c ~ /[bfnrt]/) c = " "
		out = out c
	}
	return out s
}

function hex(s,    i, n) {
	n = 0
	for (i = 1; i <= 4; i++) n = n * 16 + index("0123456789abcdef", tolower(substr(s, i, 1))) - 1
	return n < 32 || n > 126 ? 63 : n
}
