"""The basis of all other folders: errors, files, pictures, settings, the command line."""
