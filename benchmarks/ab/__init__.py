"""False alarms and detection of `torchbasics ab`, beside its peers."""
