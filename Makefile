# Only forwards: ./setup is the way in.
.PHONY: up test build bench doctor clean
up test build bench doctor clean:
	@./setup $@
