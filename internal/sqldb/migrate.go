package sqldb

import (
	"fmt"
	"strings"
)

// migrationsTable remembers what was applied.
const migrationsTable = `CREATE TABLE IF NOT EXISTS schema_migrations (owner TEXT NOT NULL, version BIGINT NOT NULL, PRIMARY KEY (owner, version))`

// ApplyMigrations is Migrate inside one write, for engines.
func ApplyMigrations(w Writer, owner string, migrations []string) error {
	if _, err := w.Exec(migrationsTable); err != nil {
		return fmt.Errorf("remember migrations: %w", err)
	}
	var done int
	if err := w.QueryRow(`SELECT COALESCE(MAX(version), 0) FROM schema_migrations WHERE owner = ?`, owner).Scan(&done); err != nil {
		return fmt.Errorf("read applied migrations: %w", err)
	}
	if done > len(migrations) {
		return fmt.Errorf("the schema of %s has version %d, this program knows %d: use a newer program", owner, done, len(migrations))
	}
	for i, text := range migrations[done:] {
		version := done + i + 1
		for _, statement := range strings.Split(text, ";\n") {
			if strings.TrimSpace(statement) == "" {
				continue
			}
			if _, err := w.Exec(statement); err != nil {
				return fmt.Errorf("migration %d of %s: %w", version, owner, err)
			}
		}
		if _, err := w.Exec(`INSERT INTO schema_migrations (owner, version) VALUES (?, ?)`, owner, version); err != nil {
			return fmt.Errorf("remember migration %d of %s: %w", version, owner, err)
		}
	}
	return nil
}
