package main

// Settings is the whole of kamado.toml: a table per service or shared part. Each part owns its own Config, with its
// defaults and its checks; this type only gives them their names in the file.
type Settings struct {
	// Directory under which everything is kept. It is created when it is missing.
	Data string `toml:"data"`
}

// defaultSettings is what runs when nobody configured anything.
func defaultSettings() Settings {
	return Settings{Data: "kamado-data"}
}
