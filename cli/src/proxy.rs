//! Which proxy is gone through: the one of the command line, or the environment's.

use aiowebsocket::opening::Address;
use aiowebsocket::{Connect, Proxy, ProxyRules};
use clap::Args;

use crate::exit::{Exit, Failure};

#[derive(Args, Debug)]
pub(crate) struct ProxyOptions {
    /// Goes through this proxy: http://, https://, socks5:// or socks5h://, with user:password@ if it wants them
    ///
    /// socks5:// looks the server's name up here, socks5h:// at the proxy. Without a scheme it is http://. What the environment
    /// says does not count then.
    // Not parsed while arguments are: that error would repeat a password.
    #[arg(short = 'x', long, value_name = "URL")]
    proxy: Option<String>,

    /// Goes through no proxy, whatever the environment says
    ///
    /// Without this and --proxy, the variables http_proxy (for ws://), https_proxy (for wss://), all_proxy and no_proxy count.
    #[arg(long, conflicts_with = "proxy")]
    no_proxy: bool,
}

/// The way to a server.
#[derive(Clone, Debug)]
pub(crate) enum Proxies {
    None,
    One(Proxy),
    Environment(ProxyRules),
}

impl ProxyOptions {
    pub(crate) fn proxies(&self) -> Result<Proxies, Failure> {
        match &self.proxy {
            Some(proxy) => match Proxy::parse(proxy) {
                Ok(proxy) => Ok(Proxies::One(proxy)),
                Err(error) => Err(Failure::new(Exit::Usage, format!("--proxy: {error}"))),
            },
            None if self.no_proxy => Ok(Proxies::None),
            None => Ok(Proxies::environment()),
        }
    }
}

impl Proxies {
    /// What the environment says.
    pub(crate) fn environment() -> Self {
        Self::Environment(ProxyRules::from_variables(|name| std::env::var(name).ok()))
    }

    pub(crate) fn apply(&self, connect: Connect) -> Connect {
        match self {
            Self::None => connect,
            Self::One(proxy) => connect.proxy(proxy.clone()),
            Self::Environment(rules) => connect.proxy_rules(rules.clone()),
        }
    }

    /// The proxy on the way to this address. A mistake in the environment is the library's to tell.
    pub(crate) fn on_the_way_to(&self, address: &Address) -> Option<Proxy> {
        match self {
            Self::None => None,
            Self::One(proxy) => Some(proxy.clone()),
            Self::Environment(rules) => rules.proxy_for(address).ok().flatten(),
        }
    }
}
