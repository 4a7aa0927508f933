-- Derived, and may be emptied at any time: VMs of which no descriptor is open, as they were left, so that the states in
-- checkpoint need not hold them.
CREATE TABLE closed_vm (
  timeline BIGINT NOT NULL,
  vm VARCHAR(255) NOT NULL,
  moment INT NOT NULL,
  stamp VARCHAR(64) NOT NULL,
  state BYTEA NOT NULL,
  PRIMARY KEY (timeline, vm, moment)
);
