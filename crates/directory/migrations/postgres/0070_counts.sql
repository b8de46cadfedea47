-- Users and groups are counted with every page of a domain that a sync agent reads: from this index alone, without the rows.
CREATE INDEX identities_counted ON identities (tenant_id, domain, kind, state);
