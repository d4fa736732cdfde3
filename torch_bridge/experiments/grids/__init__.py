"""What every experiment shares: data, cells answered in parallel and kept, the files they leave."""
