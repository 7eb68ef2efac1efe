"""The steps of the estate's own CI: the workflows in .github call them, and a person can (see README, "CI")."""
