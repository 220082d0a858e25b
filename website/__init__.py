"""The site: built from the course's own files, without anything that a reader must fetch later."""
