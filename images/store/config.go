package store

import "github.com/kamado/kamado/images"

// Config is the [images.store] table of the configuration.
type Config = images.Store

// Bucket is what a bucket's name means.
type Bucket = images.Bucket

// Default lets pictures in where somebody configures a way.
func Default() Config { return images.DefaultStore() }
