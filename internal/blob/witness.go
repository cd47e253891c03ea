package blob

// Witness remembers which object was found under a key. It is safe for
// concurrent use.
type Witness interface {
	// Holds says whether Stat of the key would still give the same object, and
	// of every absent key still ErrNotFound. It asks the store, at the cost of
	// one question for each key. False says only that Stat has to be asked.
	Holds() bool
}

// Witnesser is the optional ability to look again for less than a Stat costs.
// fs has it.
type Witnesser interface {
	// Witness remembers the object that Stat gave under in.Key, and that there
	// is none under the keys in absent. False: the store cannot tell it cheaply
	// of these keys, or they are not so now.
	Witness(in Info, absent []string) (Witness, bool)
}
