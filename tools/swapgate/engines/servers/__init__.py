"""What engines of models behind servers share: addresses that may be asked, one bounded request at a time, pictures decoded with limits."""
