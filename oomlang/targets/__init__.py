"""What a policy becomes: each target takes the IR and gives a result; none knows of another."""
