//! `fetch` over TLS: whom it trusts, and what it says when it does not.

use std::io::Write;
use std::net::TcpStream;
use std::sync::Arc;

use rcgen::{BasicConstraints, CertificateParams, CertifiedKey, DnType, IsCa, KeyPair};
use tokio_rustls::rustls::crypto::ring;
use tokio_rustls::rustls::pki_types::PrivateKeyDer;
use tokio_rustls::rustls::{ServerConfig, ServerConnection, StreamOwned};

use super::golden;
use super::server::{Folder, Server, await_close, command, fetch, read_head};

type Stream = StreamOwned<ServerConnection, TcpStream>;

fn certificate(name: &str) -> CertifiedKey<KeyPair> {
    sign(params(name))
}

fn params(name: &str) -> CertificateParams {
    let mut params = CertificateParams::new(vec![name.to_owned()]).unwrap();
    // An issuer is first looked for by its name: each certificate is its own issuer here.
    params.distinguished_name.push(DnType::CommonName, name);
    params
}

fn sign(params: CertificateParams) -> CertifiedKey<KeyPair> {
    let signing_key = KeyPair::generate().unwrap();
    CertifiedKey { cert: params.self_signed(&signing_key).unwrap(), signing_key }
}

fn expired(name: &str) -> CertifiedKey<KeyPair> {
    let mut params = params(name);
    params.not_before = rcgen::date_time_ymd(2020, 1, 1);
    params.not_after = rcgen::date_time_ymd(2021, 1, 1);
    sign(params)
}

/// A TLS server with this certificate; `answer` is called after each request was read.
fn secure(
    certified: &CertifiedKey<KeyPair>,
    answer: impl Fn(&mut Stream) + Send + 'static,
) -> Server {
    let key = PrivateKeyDer::try_from(certified.signing_key.serialize_der()).unwrap();
    let config = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![certified.cert.der().clone()], key)
        .unwrap();
    let config = Arc::new(config);
    Server::of_connections(move |socket| {
        let connection = ServerConnection::new(Arc::clone(&config)).unwrap();
        let mut stream = StreamOwned::new(connection, socket);
        if read_head(&mut stream).is_empty() {
            return; // The client did not like us.
        }
        answer(&mut stream);
    })
}

/// Says hello and ends TLS in order.
fn hello(stream: &mut Stream) {
    stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\nsecret").unwrap();
    stream.conn.send_close_notify();
    stream.flush().unwrap();
    await_close(stream);
}

fn local(server: &Server) -> String {
    format!("https://localhost:{}/", server.address.port())
}

#[test]
fn a_certificate_is_trusted_by_file_and_by_the_system() {
    let folder = Folder::new("trusted");
    let certified = certificate("localhost");
    let pem = folder.file("ca.pem");
    std::fs::write(&pem, certified.cert.pem()).unwrap();
    let server = secure(&certified, hello);
    let ran = fetch(&["--timing", "-4", "--cacert", &pem, &local(&server)]);
    assert_eq!((ran.code, ran.text()), (Some(0), "secret"), "{}", ran.err);
    let said = golden(&ran.err, &server);
    assert!(said.contains("\n tls T ms TLSv1_3, TLS13_"), "{said}");
    let by_system = command(&[&local(&server)]).env("SSL_CERT_FILE", &pem).output().unwrap();
    assert_eq!(by_system.stdout, b"secret");
}

#[test]
fn the_raw_view_and_the_ladder_look_inside() {
    let server = secure(&certificate("localhost"), hello);
    let ran = fetch(&["-k", "-v", "--raw", &local(&server)]);
    assert_eq!(ran.text(), "HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\nsecret");
    for words in ["\"TLS handshake\"", "# TLSv1_3, TLS13_", "# inside: HTTP/1.1 200 OK"] {
        assert!(ran.err.contains(words), "{words}: {}", ran.err);
    }
}

#[test]
fn a_certificate_that_fails_a_check_is_refused_with_the_check() {
    let folder = Folder::new("untrusted");
    let check =
        |server: &CertifiedKey<KeyPair>, trusted: &CertifiedKey<KeyPair>, expected: &str| {
            let pem = folder.file("ca.pem");
            std::fs::write(&pem, trusted.cert.pem()).unwrap();
            let server = secure(server, hello);
            let ran = fetch(&["--cacert", &pem, &local(&server)]);
            assert_eq!((ran.code, ran.text()), (Some(3), ""));
            assert!(ran.err.contains(expected), "{}", ran.err);
            assert!(ran.err.contains("--insecure takes any certificate"), "{}", ran.err);
            let lenient = fetch(&["--insecure", &local(&server)]);
            assert_eq!((lenient.code, lenient.text()), (Some(0), "secret"));
            assert!(lenient.err.contains("warning: taken with --insecure: "), "{}", lenient.err);
        };
    let (local, other) = (certificate("localhost"), certificate("other.example"));
    check(
        &local,
        &other,
        "the certificate was issued by nobody who is trusted here. --cacert FILE trusts",
    );
    check(&other, &other, "the certificate is not for localhost: it names other.example");
    let old = expired("localhost");
    check(&old, &old, "the certificate expired ");
    let mut params = params("localhost");
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let authority = sign(params);
    check(&authority, &authority, "the certificate is an authority's own");
}

#[test]
fn tls_and_plain_http_are_told_apart() {
    let plain = Server::of_connections(|mut stream| {
        stream.write_all(b"HTTP/1.1 400 Bad Request\r\n\r\n").unwrap();
        await_close(&mut stream);
    });
    let ran = fetch(&["-k", &format!("https://{}/", plain.address)]);
    assert_eq!(ran.code, Some(3));
    assert_eq!(
        golden(&ran.err, &plain),
        "stentor: TLS with https://127.0.0.1:PORT/ at 127.0.0.1:PORT: what came back is not TLS. \
         If the port speaks plain HTTP, use http://.\n"
    );
    let server = secure(&certificate("localhost"), hello);
    let ran = fetch(&[&server.url("/")]);
    assert_eq!(ran.code, Some(1));
    assert!(ran.err.contains("https://"), "{}", ran.err);
}

#[test]
fn silence_in_the_handshake_is_no_connection() {
    let server = Server::of_connections(|mut stream| await_close(&mut stream));
    let ran = fetch(&["-k", "-w", "200ms", &format!("https://{}/", server.address)]);
    assert_eq!(ran.code, Some(3));
    assert!(ran.err.contains("nothing came for 200ms in the TLS handshake"), "{}", ran.err);
}

#[test]
fn a_body_that_ends_without_the_end_of_tls_is_incomplete() {
    let server = secure(&certificate("localhost"), |stream| {
        stream.write_all(b"HTTP/1.1 200 OK\r\n\r\nno length").unwrap();
        stream.flush().unwrap();
        // Dropped without close_notify: anybody on the way could have cut it here.
    });
    let ran = fetch(&["-k", "-q", &local(&server)]);
    assert_eq!((ran.code, ran.text()), (Some(1), "no length"));
    assert!(ran.err.contains("the body is incomplete: 9 bytes"), "{}", ran.err);
}

#[test]
fn leaving_encryption_is_said() {
    let plain = Server::of_bytes("HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nopen");
    let to = plain.url("/");
    let place = to.clone();
    let server = secure(&certificate("localhost"), move |stream| {
        write!(stream, "HTTP/1.1 301 Moved\r\nLocation: {place}\r\n\r\n").unwrap();
        stream.flush().unwrap();
        await_close(stream);
    });
    let ran = fetch(&["-k", &local(&server)]);
    assert_eq!((ran.code, ran.text()), (Some(0), "open"));
    let expected = format!("warning: {to} is not encrypted any more (https leads to http)");
    assert!(ran.err.contains(&expected), "{}", ran.err);
}

#[test]
fn a_file_that_holds_no_certificate_is_refused() {
    let folder = Folder::new("pem");
    let empty = folder.file("empty.pem");
    std::fs::write(&empty, "nothing\n").unwrap();
    for (path, why) in [(empty, "no certificate in it"), (folder.file("none"), "(ENOENT)")] {
        let ran = fetch(&["--cacert", &path, "https://127.0.0.1:1/"]);
        assert_eq!(ran.code, Some(3));
        let expected = format!("stentor: read certificates {path}: ");
        assert!(ran.err.starts_with(&expected) && ran.err.contains(why), "{}", ran.err);
    }
}
