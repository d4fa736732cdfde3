"""The commands, one file each: parse, call, report. No mathematics."""
