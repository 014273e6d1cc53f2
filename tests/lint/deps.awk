# Reads deps.txt, then lines "file:line:#include ..."; prints each include that
# no rule allows and ends 1 if there was one.

function die(why) {
	print rules ": " why
	status = 1
	broken = 1
	exit 1
}

# The longest folder of a `may` rule that holds this path; "" if none.
function folder_of(path) {
	while (sub(/\/[^\/]*$/, "", path))
		if (path in folder)
			return path
	return ""
}

# place is a file, or a folder and all below it
function stands_in(path, place) {
	return path == place || index(path, place "/") == 1
}

function find(where, what) {
	print where ": " what
	status = 1
}

function quoted(where, path, header,    from, to) {
	from = folder_of(path)
	# In tests a fixture stands beside its users.
	to = from == "tests" && !index(header, "/") ? from : folder_of(header)
	if (from == "")
		find(where, "no rule for the folder of " path)
	else if (to == "")
		find(where, "\"" header "\": not named from the top, or no" \
		    " rule for its folder")
	else if (!((from, to) in may))
		find(where, from " may not include " to " (" header ")")
}

function bracketed(where, path, header,    i, n, places) {
	if (header in libc)
		return
	for (i = 1; i <= homes; i++) {
		if (!(header ~ ("^" pattern[i] "$")))
			continue
		n = split(home[i], places, " ")
		while (n > 0)
			if (stands_in(path, places[n--]))
				return
		find(where, "<" header "> has its home in" home[i])
		return
	}
	find(where, "<" header "> is no library that deps.txt knows")
}

BEGIN {
	FS = "[ \t]+"
	while ((got = (getline line < rules)) > 0) {
		sub(/#.*/, "", line)
		n = split(line, w, FS)
		if (n > 0 && w[n] == "")
			n--
		if (n == 0)
			continue
		if (w[1] == "may" && n >= 2) {
			folder[w[2]] = 1
			for (i = 2; i <= n; i++)
				may[w[2], w[i]] = 1
		} else if (w[1] == "home" && n >= 3) {
			at = homes + 1
			for (i = 1; i <= homes; i++)
				if (written[i] == w[2])
					at = i
			if (at > homes)
				homes = at
			written[at] = pattern[at] = w[2]
			gsub(/\./, "\\.", pattern[at])
			gsub(/\*/, ".*", pattern[at])
			for (i = 3; i <= n; i++)
				home[at] = home[at] " " w[i]
		} else if (w[1] == "libc" && n >= 2) {
			for (i = 2; i <= n; i++)
				libc[w[i]] = 1
		} else
			die("not understood: " line)
	}
	if (got < 0 || homes == 0)
		die("cannot be read, or says nothing")
	FS = " "
}

{
	split($0, part, ":")
	path = part[1]
	where = path ":" part[2]
	what = $0
	sub(/^[^:]*:[^:]*:[ \t]*#[ \t]*include[ \t]*/, "", what)
	seen++
	if (match(what, /^"[^"]*"/))
		quoted(where, path, substr(what, 2, RLENGTH - 2))
	else if (match(what, /^<[^>]*>/))
		bracketed(where, path, substr(what, 2, RLENGTH - 2))
	else
		find(where, "an include that cannot be read: " what)
}

END {
	if (!broken && seen == 0) {
		print "no includes seen: nothing was checked"
		status = 1
	}
	exit status
}
