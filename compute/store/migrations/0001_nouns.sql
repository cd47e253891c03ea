-- The nouns of compute: see schema.go for what each column holds.
CREATE TABLE domains (
	id TEXT NOT NULL PRIMARY KEY,
	name TEXT NOT NULL,
	body TEXT NOT NULL
);
CREATE TABLE projects (
	id TEXT NOT NULL PRIMARY KEY,
	domain_id TEXT NOT NULL,
	parent_id TEXT NOT NULL,
	name TEXT NOT NULL,
	body TEXT NOT NULL
);
CREATE TABLE users (
	id TEXT NOT NULL PRIMARY KEY,
	domain_id TEXT NOT NULL,
	name TEXT NOT NULL,
	body TEXT NOT NULL
);
CREATE TABLE roles (
	id TEXT NOT NULL PRIMARY KEY,
	domain_id TEXT NOT NULL,
	name TEXT NOT NULL,
	body TEXT NOT NULL
);
CREATE TABLE groups_ (
	id TEXT NOT NULL PRIMARY KEY,
	domain_id TEXT NOT NULL,
	name TEXT NOT NULL,
	body TEXT NOT NULL
);
CREATE TABLE assignments (
	id TEXT NOT NULL PRIMARY KEY,
	actor_id TEXT NOT NULL,
	target_id TEXT NOT NULL,
	role_id TEXT NOT NULL,
	body TEXT NOT NULL
);
CREATE TABLE tokens (
	id TEXT NOT NULL PRIMARY KEY,
	user_id TEXT NOT NULL,
	project_id TEXT NOT NULL,
	domain_id TEXT NOT NULL,
	app_credential_id TEXT NOT NULL,
	expires BIGINT NOT NULL,
	body TEXT NOT NULL
);
CREATE TABLE app_credentials (
	id TEXT NOT NULL PRIMARY KEY,
	user_id TEXT NOT NULL,
	project_id TEXT NOT NULL,
	name TEXT NOT NULL,
	body TEXT NOT NULL
);
CREATE TABLE credentials (
	id TEXT NOT NULL PRIMARY KEY,
	user_id TEXT NOT NULL,
	access TEXT NOT NULL,
	body TEXT NOT NULL
);
CREATE TABLE regions (
	id TEXT NOT NULL PRIMARY KEY,
	body TEXT NOT NULL
);
CREATE TABLE catalog_services (
	id TEXT NOT NULL PRIMARY KEY,
	name TEXT NOT NULL,
	type TEXT NOT NULL,
	body TEXT NOT NULL
);
CREATE TABLE endpoints (
	id TEXT NOT NULL PRIMARY KEY,
	service_id TEXT NOT NULL,
	body TEXT NOT NULL
);
CREATE TABLE quotas (
	id TEXT NOT NULL PRIMARY KEY,
	project_id TEXT NOT NULL,
	body TEXT NOT NULL
);
CREATE TABLE usages (
	id TEXT NOT NULL PRIMARY KEY,
	project_id TEXT NOT NULL,
	body TEXT NOT NULL
);
CREATE TABLE machine_images (
	id TEXT NOT NULL PRIMARY KEY,
	project_id TEXT NOT NULL,
	name TEXT NOT NULL,
	status TEXT NOT NULL,
	visibility TEXT NOT NULL,
	created BIGINT NOT NULL,
	body TEXT NOT NULL
);
CREATE TABLE image_shares (
	id TEXT NOT NULL PRIMARY KEY,
	image_id TEXT NOT NULL,
	project_id TEXT NOT NULL,
	body TEXT NOT NULL
);
CREATE TABLE metadefs (
	id TEXT NOT NULL PRIMARY KEY,
	body TEXT NOT NULL
);
CREATE TABLE networks (
	id TEXT NOT NULL PRIMARY KEY,
	project_id TEXT NOT NULL,
	name TEXT NOT NULL,
	shared BIGINT NOT NULL,
	external BIGINT NOT NULL,
	body TEXT NOT NULL
);
CREATE TABLE subnets (
	id TEXT NOT NULL PRIMARY KEY,
	project_id TEXT NOT NULL,
	network_id TEXT NOT NULL,
	subnet_pool_id TEXT NOT NULL,
	name TEXT NOT NULL,
	body TEXT NOT NULL
);
CREATE TABLE subnet_pools (
	id TEXT NOT NULL PRIMARY KEY,
	project_id TEXT NOT NULL,
	name TEXT NOT NULL,
	body TEXT NOT NULL
);
CREATE TABLE ports (
	id TEXT NOT NULL PRIMARY KEY,
	project_id TEXT NOT NULL,
	network_id TEXT NOT NULL,
	device_id TEXT NOT NULL,
	device_owner TEXT NOT NULL,
	host_id TEXT NOT NULL,
	mac TEXT NOT NULL,
	body TEXT NOT NULL
);
CREATE TABLE addresses (
	id TEXT NOT NULL PRIMARY KEY,
	subnet_id TEXT NOT NULL,
	ip TEXT NOT NULL,
	port_id TEXT NOT NULL,
	body TEXT NOT NULL
);
CREATE TABLE routers (
	id TEXT NOT NULL PRIMARY KEY,
	project_id TEXT NOT NULL,
	gateway_network_id TEXT NOT NULL,
	body TEXT NOT NULL
);
CREATE TABLE floating_ips (
	id TEXT NOT NULL PRIMARY KEY,
	project_id TEXT NOT NULL,
	network_id TEXT NOT NULL,
	fixed_port_id TEXT NOT NULL,
	router_id TEXT NOT NULL,
	ip TEXT NOT NULL,
	body TEXT NOT NULL
);
CREATE TABLE security_groups (
	id TEXT NOT NULL PRIMARY KEY,
	project_id TEXT NOT NULL,
	name TEXT NOT NULL,
	body TEXT NOT NULL
);
CREATE TABLE security_rules (
	id TEXT NOT NULL PRIMARY KEY,
	project_id TEXT NOT NULL,
	group_id TEXT NOT NULL,
	remote_group_id TEXT NOT NULL,
	body TEXT NOT NULL
);
CREATE TABLE hosts (
	id TEXT NOT NULL PRIMARY KEY,
	zone TEXT NOT NULL,
	body TEXT NOT NULL
);
CREATE TABLE flavors (
	id TEXT NOT NULL PRIMARY KEY,
	name TEXT NOT NULL,
	public BIGINT NOT NULL,
	body TEXT NOT NULL
);
CREATE TABLE keypairs (
	id TEXT NOT NULL PRIMARY KEY,
	user_id TEXT NOT NULL,
	name TEXT NOT NULL,
	body TEXT NOT NULL
);
CREATE TABLE instances (
	id TEXT NOT NULL PRIMARY KEY,
	project_id TEXT NOT NULL,
	user_id TEXT NOT NULL,
	name TEXT NOT NULL,
	vm TEXT NOT NULL,
	task TEXT NOT NULL,
	host_id TEXT NOT NULL,
	image_id TEXT NOT NULL,
	flavor_id TEXT NOT NULL,
	reservation TEXT NOT NULL,
	live BIGINT NOT NULL,
	created BIGINT NOT NULL,
	updated BIGINT NOT NULL,
	body TEXT NOT NULL
);
CREATE TABLE actions (
	id TEXT NOT NULL PRIMARY KEY,
	instance_id TEXT NOT NULL,
	request_id TEXT NOT NULL,
	started BIGINT NOT NULL,
	body TEXT NOT NULL
);
CREATE TABLE migrations (
	id TEXT NOT NULL PRIMARY KEY,
	instance_id TEXT NOT NULL,
	created BIGINT NOT NULL,
	body TEXT NOT NULL
);
CREATE TABLE server_groups (
	id TEXT NOT NULL PRIMARY KEY,
	project_id TEXT NOT NULL,
	body TEXT NOT NULL
);
CREATE TABLE aggregates (
	id TEXT NOT NULL PRIMARY KEY,
	name TEXT NOT NULL,
	body TEXT NOT NULL
);
CREATE TABLE settings (
	id TEXT NOT NULL PRIMARY KEY,
	body TEXT NOT NULL
);
CREATE UNIQUE INDEX domains_1 ON domains (name);
CREATE UNIQUE INDEX projects_1 ON projects (domain_id, name);
CREATE INDEX projects_2 ON projects (parent_id);
CREATE UNIQUE INDEX users_1 ON users (domain_id, name);
CREATE UNIQUE INDEX roles_1 ON roles (domain_id, name);
CREATE UNIQUE INDEX groups__1 ON groups_ (domain_id, name);
CREATE INDEX assignments_1 ON assignments (actor_id);
CREATE INDEX assignments_2 ON assignments (target_id);
CREATE INDEX assignments_3 ON assignments (role_id);
CREATE INDEX tokens_1 ON tokens (user_id);
CREATE INDEX tokens_2 ON tokens (expires);
CREATE INDEX tokens_3 ON tokens (app_credential_id);
CREATE UNIQUE INDEX app_credentials_1 ON app_credentials (user_id, name);
CREATE INDEX credentials_1 ON credentials (user_id);
CREATE INDEX credentials_2 ON credentials (access);
CREATE INDEX tokens_4 ON tokens (project_id);
CREATE INDEX endpoints_1 ON endpoints (service_id);
CREATE INDEX quotas_1 ON quotas (project_id);
CREATE INDEX usages_1 ON usages (project_id);
CREATE INDEX machine_images_1 ON machine_images (project_id, created);
CREATE INDEX machine_images_2 ON machine_images (created);
CREATE INDEX machine_images_3 ON machine_images (visibility, created);
CREATE INDEX machine_images_4 ON machine_images (status);
CREATE INDEX image_shares_1 ON image_shares (project_id);
CREATE INDEX image_shares_2 ON image_shares (image_id);
CREATE INDEX networks_1 ON networks (project_id);
CREATE INDEX subnets_1 ON subnets (network_id);
CREATE INDEX subnets_2 ON subnets (project_id);
CREATE INDEX subnets_3 ON subnets (subnet_pool_id);
CREATE INDEX subnet_pools_1 ON subnet_pools (project_id);
CREATE UNIQUE INDEX ports_1 ON ports (mac);
CREATE INDEX ports_2 ON ports (project_id);
CREATE INDEX ports_3 ON ports (network_id);
CREATE INDEX ports_4 ON ports (device_id);
CREATE INDEX ports_5 ON ports (host_id);
CREATE INDEX addresses_1 ON addresses (subnet_id);
CREATE INDEX addresses_2 ON addresses (port_id);
CREATE INDEX addresses_3 ON addresses (ip);
CREATE INDEX routers_1 ON routers (project_id);
CREATE INDEX floating_ips_1 ON floating_ips (project_id);
CREATE INDEX floating_ips_2 ON floating_ips (fixed_port_id);
CREATE INDEX floating_ips_3 ON floating_ips (router_id);
CREATE UNIQUE INDEX floating_ips_4 ON floating_ips (network_id, ip);
CREATE INDEX security_groups_1 ON security_groups (project_id);
CREATE INDEX security_rules_1 ON security_rules (group_id);
CREATE INDEX security_rules_2 ON security_rules (project_id);
CREATE INDEX security_rules_3 ON security_rules (remote_group_id);
CREATE UNIQUE INDEX flavors_1 ON flavors (name);
CREATE INDEX keypairs_1 ON keypairs (user_id);
CREATE INDEX instances_1 ON instances (live, created, id);
CREATE INDEX instances_2 ON instances (project_id, live, created, id);
CREATE INDEX instances_3 ON instances (host_id, live);
CREATE INDEX instances_4 ON instances (task);
CREATE INDEX instances_5 ON instances (reservation);
CREATE INDEX actions_1 ON actions (instance_id, started);
CREATE INDEX migrations_1 ON migrations (instance_id);
CREATE INDEX server_groups_1 ON server_groups (project_id);
