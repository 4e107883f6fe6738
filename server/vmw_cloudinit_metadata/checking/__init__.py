"""What ``validate`` looks for beside the faults for which a definition is not served at all."""
