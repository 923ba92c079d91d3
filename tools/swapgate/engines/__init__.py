"""What makes images; one file each."""
