"""Networks to build, train and export as towers."""
