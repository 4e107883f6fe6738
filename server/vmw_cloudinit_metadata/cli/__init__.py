"""The commands of vmw-cloudinit-metadata, one file each."""
