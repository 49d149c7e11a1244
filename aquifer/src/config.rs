//! What `start` runs with: flags over the environment over files over defaults.
//!
//! - Every source becomes the same list of settings; the first source that names a setting wins.
//! - A key that a role acts on reaches that role by its own name. One that Kafka, Connect or the registry knows and we don't act on
//!   is accepted with a log line; one that nobody knows is refused, with the nearest that is known.
//! - All faults are reported at once.

mod address;
mod file;
mod keys;
mod nearest;

use std::collections::BTreeSet;
use std::path::PathBuf;

pub(crate) use address::Address;
use indexmap::IndexMap;

use crate::command::start::Flags;
use crate::exit::Error;
use crate::role::Role;

/// The configuration, complete and checked as far as this crate can.
#[derive(Debug)]
pub(crate) struct Config {
    pub(crate) data_dir: PathBuf,
    pub(crate) roles: BTreeSet<Role>,
    /// Brokers of another cluster; then the broker role is off.
    pub(crate) bootstrap_servers: Option<String>,
    pub(crate) kafka: Address,
    pub(crate) registry: Address,
    pub(crate) connect: Address,
    pub(crate) console: Address,
    /// What clients are told to connect to; `None` is the address that they came to.
    pub(crate) advertised: Option<Address>,
    pub(crate) ready_file: Option<PathBuf>,
    /// Keys by role, by their own names.
    pub(crate) broker_keys: IndexMap<String, String>,
    pub(crate) registry_keys: IndexMap<String, String>,
    pub(crate) connect_keys: IndexMap<String, String>,
    /// Lines for the log once there is one: keys that are accepted without effect.
    pub(crate) notes: Vec<String>,
}

/// Settings of one source, before they are merged: the program's own, and keys of roles.
#[derive(Debug, Default)]
struct Layer {
    own: IndexMap<&'static str, String>,
    keys: Vec<(String, String)>,
}

/// The program's own settings, by the names that flags and files use.
const OWN: [&str; 8] = [
    "data-dir",
    "roles",
    "bootstrap-servers",
    "kafka",
    "registry",
    "connect",
    "console",
    "insecure",
];

impl Config {
    /// Merges every source. `environment` holds the variables that start with `AQUIFER_`.
    pub(crate) fn load(flags: &Flags, environment: &[(String, String)]) -> Result<Config, Error> {
        let (mut faults, mut notes) = (Vec::new(), Vec::new());
        let mut layers =
            vec![of_flags(flags, &mut faults), of_environment(environment, &mut notes)];
        for path in flags.config.iter().rev() {
            layers.push(file::read(path, &mut faults)?);
        }
        let own =
            |name: &str| layers.iter().find_map(|layer| layer.own.get(name)).map(String::as_str);
        let bootstrap_servers = own("bootstrap-servers").map(str::to_owned);
        let roles = roles(own("roles"), bootstrap_servers.is_some(), &mut faults);
        let mut address = |name: &str, default: &str| {
            Address::parse(own(name).unwrap_or(default)).unwrap_or_else(|error| {
                faults.push(format!("--{name}: {error}"));
                Address::loopback()
            })
        };
        let [kafka, registry, connect, console] = [
            ("kafka", "127.0.0.1:9092"),
            ("registry", "127.0.0.1:8081"),
            ("connect", "127.0.0.1:8083"),
            ("console", "127.0.0.1:8080"),
        ]
        .map(|(name, default)| address(name, default));
        let insecure = own("insecure") == Some("true");
        let data_dir = PathBuf::from(own("data-dir").unwrap_or("aquifer-data"));
        let mut config = Config {
            data_dir,
            roles,
            bootstrap_servers,
            kafka,
            registry,
            connect,
            console,
            advertised: None,
            ready_file: flags.ready_file.clone(),
            broker_keys: IndexMap::new(),
            registry_keys: IndexMap::new(),
            connect_keys: IndexMap::new(),
            notes,
        };
        for (key, value) in layers.into_iter().flat_map(|layer| layer.keys) {
            config.take_key(&key, value, &mut faults);
        }
        config.check_exposure(insecure, &mut faults);
        if faults.is_empty() {
            Ok(config)
        } else {
            Err(Error::configuration(faults.join("\naquifer: ")))
        }
    }

    /// Gives a key to the role that knows it; an earlier source has already given it where it is there.
    fn take_key(&mut self, key: &str, value: String, faults: &mut Vec<String>) {
        let (role, name, why_not) = match keys::find(key) {
            Ok(found) => found,
            Err(fault) => return faults.push(fault),
        };
        let taken = match role {
            Role::Broker if name == "advertised.listeners" => {
                return self.advertise(&value, faults);
            }
            Role::Broker => &mut self.broker_keys,
            Role::Registry => &mut self.registry_keys,
            Role::Connect | Role::Console => &mut self.connect_keys,
        };
        if taken.contains_key(name) {
            return;
        }
        if let Some(why) = why_not {
            self.notes.push(format!("{role} key {name} is accepted without effect: {why}"));
        }
        taken.insert(name.to_owned(), value);
    }

    fn advertise(&mut self, value: &str, faults: &mut Vec<String>) {
        match Address::parse(value.rsplit("://").next().unwrap_or(value)) {
            Ok(address) => {
                self.advertised.get_or_insert(address);
            }
            Err(error) => faults.push(format!("advertised.listeners: {error}")),
        }
    }

    /// Without authentication, only this machine may reach a listener, unless the user says otherwise.
    fn check_exposure(&self, insecure: bool, faults: &mut Vec<String>) {
        let listeners = [
            (Role::Broker, "kafka", &self.kafka),
            (Role::Registry, "registry", &self.registry),
            (Role::Connect, "connect", &self.connect),
        ];
        let exposed = listeners
            .into_iter()
            .filter(|(role, _, address)| self.roles.contains(role) && !address.is_loopback());
        for (_, name, address) in exposed.filter(|_| !insecure) {
            faults.push(format!(
                "--{name} {address} is not a loopback address and the listener has no authentication: anybody who reaches it can read and write everything; say --insecure to allow that"
            ));
        }
    }
}

fn roles(given: Option<&str>, external: bool, faults: &mut Vec<String>) -> BTreeSet<Role> {
    let Some(given) = given else {
        return Role::ALL.into_iter().filter(|role| !(external && *role == Role::Broker)).collect();
    };
    let mut roles = BTreeSet::new();
    for name in given.split(',').filter(|name| !name.trim().is_empty()) {
        match name.parse() {
            Ok(role) => {
                roles.insert(role);
            }
            Err(fault) => faults.push(format!("--roles: {fault}")),
        }
    }
    if external && roles.contains(&Role::Broker) {
        faults.push("--bootstrap-servers names another cluster, so the broker role can't run: leave it out of --roles".to_owned());
    }
    if !external && !roles.contains(&Role::Broker) && !roles.is_empty() {
        faults.push("without the broker role, --bootstrap-servers must name a cluster".to_owned());
    }
    if roles.is_empty() && faults.is_empty() {
        faults.push("--roles names no role".to_owned());
    }
    roles
}

fn of_flags(flags: &Flags, faults: &mut Vec<String>) -> Layer {
    let mut layer = Layer::default();
    let data_dir = flags.data_dir.as_ref().map(|path| path.display().to_string());
    let given = [
        ("data-dir", data_dir),
        ("roles", flags.roles.clone()),
        ("bootstrap-servers", flags.bootstrap_servers.clone()),
        ("kafka", flags.kafka.clone()),
        ("registry", flags.registry.clone()),
        ("connect", flags.connect.clone()),
        ("console", flags.console.clone()),
        ("insecure", flags.insecure.then(|| "true".to_owned())),
    ];
    layer.own.extend(given.into_iter().filter_map(|(name, value)| Some((name, value?))));
    for setting in &flags.set {
        match setting.split_once('=') {
            Some((key, value)) => layer.keys.push((key.trim().to_owned(), value.trim().to_owned())),
            None => faults.push(format!("--set {setting}: expected key=value")),
        }
    }
    // The last of two equal flags is the one that was meant.
    layer.keys.reverse();
    layer
}

/// A variable that names no setting is only noted: where a service is called aquifer, Kubernetes makes `AQUIFER_PORT` and its like.
fn of_environment(environment: &[(String, String)], notes: &mut Vec<String>) -> Layer {
    let mut layer = Layer::default();
    for (variable, value) in environment {
        let name = variable.trim_start_matches("AQUIFER_");
        if name == "LOG" {
            continue;
        }
        if let Some(own) = OWN.into_iter().find(|own| own.replace('-', "_").to_uppercase() == name)
        {
            layer.own.insert(own, value.clone());
        } else if let Some(key) = keys::of_variable(name) {
            layer.keys.push((key, value.clone()));
        } else {
            notes.push(format!(
                "the environment variable {variable} names no setting and is ignored{}",
                nearest::hint(name, keys::variables())
            ));
        }
    }
    layer
}

#[cfg(test)]
mod tests;
