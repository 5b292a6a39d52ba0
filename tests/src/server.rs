// SPDX-License-Identifier: MIT OR Apache-2.0
//! Servers that clients of a test talk to.

use std::{
    fs,
    net::IpAddr,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    thread,
    time::{Duration, Instant},
};

use crate::{Host, SOON, run};

/// A program that serves a port of a host; it is killed when this is dropped.
#[derive(Debug)]
pub struct Server {
    child: Child,
    /// Of this server alone, removed with it.
    folder: PathBuf,
}

impl Server {
    /// An HTTP server on port 80 for `files`, names and contents.
    #[track_caller]
    pub fn http(host: &Host, files: &[(&str, &[u8])]) -> Self {
        let folder = folder(host, "http");
        for (name, data) in files {
            fs::write(folder.join(name), data).expect("a file");
        }
        let mut httpd = host.netns.command("busybox");
        httpd.args(["httpd", "-f", "-p", "80", "-h"]).arg(&folder);
        Self::start(host, &mut httpd, folder, "tcp6", 80)
    }

    /// A DNS server on port 53, of UDP and TCP, that knows the addresses of `names`
    /// and of what is below them, and answers that there are no others.
    #[track_caller]
    pub fn dns(host: &Host, names: &[(&str, IpAddr)]) -> Self {
        let folder = folder(host, "dns");
        let mut dnsmasq = host.netns.command("dnsmasq");
        dnsmasq.args([
            "--keep-in-foreground",
            "--conf-file=/dev/null",
            "--pid-file=",
            "--user=root",
            "--group=root",
            "--no-resolv",
            "--no-hosts",
            "--log-facility=/dev/null",
        ]);
        for (name, address) in names {
            dnsmasq.arg(format!("--address=/{name}/{address}"));
        }
        // Names that it does not know are not refused but do not exist.
        dnsmasq.arg("--address=/#/");
        Self::start(host, &mut dnsmasq, folder, "udp6", 53)
    }

    /// A TLS server on port 443 that speaks HTTP and answers with a page, with a
    /// certificate for `names`; [`authority`](Self::authority) is what clients trust.
    #[track_caller]
    pub fn tls(host: &Host, names: &[&str]) -> Self {
        let folder = folder(host, "tls");
        let alternatives: Vec<_> = names.iter().map(|name| format!("DNS:{name}")).collect();
        let mut request = Command::new("openssl");
        request
            .args(["req", "-config", "/dev/null", "-x509", "-noenc", "-newkey"])
            .args(["ec", "-pkeyopt", "ec_paramgen_curve:prime256v1"])
            .args(["-days", "2", "-subj", "/CN=test", "-addext"])
            .arg(format!("subjectAltName={}", alternatives.join(",")))
            .args(["-keyout", "key.pem", "-out", "certificate.pem"]);
        run(request.current_dir(&folder)).success();
        let mut server = host.netns.command("openssl");
        server
            .args(["s_server", "-quiet", "-www", "-accept", "443"])
            .args(["-key", "key.pem", "-cert", "certificate.pem"])
            .current_dir(&folder);
        Self::start(host, &mut server, folder, "tcp6", 443)
    }

    /// The file with the certificate that clients of a TLS server trust.
    pub fn authority(&self) -> String {
        let file = self.folder.join("certificate.pem");
        file.to_str().expect("a name of ours").to_owned()
    }

    /// Starts a program and waits until `port` is served, of a protocol that has
    /// the file `table` in /proc/net.
    #[track_caller]
    fn start(host: &Host, command: &mut Command, folder: PathBuf, table: &str, port: u16) -> Self {
        let child = command
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::inherit())
            .spawn()
            .unwrap_or_else(|e| panic!("cannot start {command:?}: {e}"));
        let mut server = Self { child, folder };
        let start = Instant::now();
        while !is_served(host, table, port) {
            if let Some(status) = server.child.try_wait().expect("a child") {
                panic!("{command:?} ended: {status}");
            }
            assert!(start.elapsed() < 3 * SOON, "nothing serves port {port}");
            thread::sleep(Duration::from_millis(20));
        }
        server
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
        let _ = fs::remove_dir_all(&self.folder);
    }
}

/// Makes a folder that no other server has.
fn folder(host: &Host, kind: &str) -> PathBuf {
    let folder = Path::new("/tmp").join(format!("{kind}-{}", host.netns.name()));
    fs::create_dir(&folder).expect("one such server for each host");
    folder
}

/// Whether a socket waits for anybody on `port`, as /proc/net tells.
fn is_served(host: &Host, table: &str, port: u16) -> bool {
    let path = format!("/proc/thread-self/net/{table}");
    let table = host
        .netns
        .within(|| fs::read_to_string(&path).unwrap_or_else(|e| panic!("{path}: {e}")));
    // `sl local_address remote_address st ...`, addresses as `ADDRESS:PORT`.
    let served = |line: &str| {
        let mut fields = line.split_whitespace().skip(1);
        let local = fields
            .next()
            .is_some_and(|local| local.ends_with(&format!(":{port:04X}")));
        local
            && fields
                .next()
                .is_some_and(|remote| remote.ends_with(":0000"))
    };
    table.lines().skip(1).any(served)
}
