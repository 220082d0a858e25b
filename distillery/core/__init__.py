"""What every other folder stands on: errors, files, pictures, settings, the command line."""
