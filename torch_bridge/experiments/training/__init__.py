"""Which depths train under which rule, predicted and found (De & Smith; Dherin & Munn)."""
