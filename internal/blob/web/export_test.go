package web

// Spelling is a URL that must lead nowhere.
type Spelling struct{ Name, URL string }

// Spellings are those of the table.
func Spellings() (all []Spelling) {
	for _, s := range spellings {
		all = append(all, Spelling{s.name, s.url})
	}
	return all
}
