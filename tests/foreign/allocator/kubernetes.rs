//! A simulated Kubernetes API that lists and watches pods.

use std::net::{Ipv4Addr, SocketAddr};
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinHandle;

/// The API. It stops when this is dropped.
pub struct KubernetesApi {
    address: SocketAddr,
    pods: watch::Sender<Vec<&'static str>>,
    task: JoinHandle<()>,
}

impl KubernetesApi {
    /// Starts an API with these pods.
    pub async fn start(pods: &[&'static str]) -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
        let (address, pods) = (listener.local_addr().unwrap(), watch::Sender::new(pods.to_vec()));
        let state = pods.clone();
        let task = tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let pods = state.subscribe();
                // A client that disconnects ends its connection only.
                tokio::spawn(async move { drop(serve(stream, pods).await) });
            }
        });
        Self { address, pods, task }
    }

    /// Deletes a pod. Clients that watch are notified.
    pub fn remove(&self, pod: &str) {
        self.pods.send_modify(|pods| pods.retain(|other| *other != pod));
    }

    /// The configuration of a client.
    pub fn kubeconfig(&self) -> String {
        format!(
            "apiVersion: v1\nkind: Config\ncurrent-context: test\n\
             clusters: [{{name: test, cluster: {{server: \"http://{}\"}}}}]\n\
             users: [{{name: test, user: {{}}}}]\n\
             contexts: [{{name: test, context: {{cluster: test, user: test}}}}]\n",
            self.address
        )
    }
}

impl Drop for KubernetesApi {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn serve(stream: TcpStream, mut pods: watch::Receiver<Vec<&'static str>>) -> std::io::Result<()> {
    let mut stream = BufReader::new(stream);
    loop {
        let (mut first, mut line) = (String::new(), String::new());
        if stream.read_line(&mut first).await? == 0 {
            return Ok(());
        }
        while stream.read_line(&mut line).await? > 2 {
            line.clear();
        }
        let target = first.split(' ').nth(1).unwrap_or_default();
        let (path, query) = target.split_once('?').unwrap_or((target, ""));
        if path != "/api/v1/namespaces/mail/pods" {
            respond(&mut stream, "404 Not Found", r#"{"kind":"Status","apiVersion":"v1","status":"Failure","code":404}"#).await?;
        } else if query.contains("watch=") {
            return watch_pods(stream, &mut pods, query.contains("sendInitialEvents=true")).await;
        } else {
            let items: Vec<String> = pods.borrow().iter().map(|name| pod(name)).collect();
            let list =
                format!(r#"{{"kind":"PodList","apiVersion":"v1","metadata":{{"resourceVersion":"1"}},"items":[{}]}}"#, items.join(","));
            respond(&mut stream, "200 OK", &list).await?;
        }
    }
}

async fn respond(stream: &mut BufReader<TcpStream>, status: &str, body: &str) -> std::io::Result<()> {
    let head = format!("HTTP/1.1 {status}\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n", body.len());
    stream.write_all(format!("{head}{body}").as_bytes()).await
}

/// Sends an event for each pod that is deleted, until the client disconnects.
async fn watch_pods(
    mut stream: BufReader<TcpStream>,
    pods: &mut watch::Receiver<Vec<&'static str>>,
    sends_initial_events: bool,
) -> std::io::Result<()> {
    stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n").await?;
    let mut known = pods.borrow_and_update().clone();
    if sends_initial_events {
        for name in &known {
            event(&mut stream, "ADDED", &pod(name)).await?;
        }
        let end = r#""annotations":{"k8s.io/initial-events-end":"true"},"resourceVersion":"1""#;
        event(&mut stream, "BOOKMARK", &format!(r#"{{"kind":"Pod","apiVersion":"v1","metadata":{{{end}}}}}"#)).await?;
    }
    while pods.changed().await.is_ok() {
        let now = pods.borrow_and_update().clone();
        for name in known.iter().filter(|name| !now.contains(name)) {
            event(&mut stream, "DELETED", &pod(name)).await?;
        }
        known = now;
    }
    Ok(())
}

async fn event(stream: &mut BufReader<TcpStream>, kind: &str, object: &str) -> std::io::Result<()> {
    let line = format!("{{\"type\":\"{kind}\",\"object\":{object}}}\n");
    stream.write_all(format!("{:x}\r\n{line}\r\n", line.len()).as_bytes()).await
}

/// A pod that runs and is ready.
fn pod(name: &str) -> String {
    let metadata = format!(
        r#""metadata":{{"name":"{name}","namespace":"mail","uid":"{name}","resourceVersion":"1","labels":{{"app.kubernetes.io/name":"postmeter"}}}}"#
    );
    let spec = r#""spec":{"nodeName":"node-1","containers":[{"name":"postmeter","image":"postmeter"}]}"#;
    let status = r#""status":{"phase":"Running","conditions":[{"type":"Ready","status":"True"}]}"#;
    format!(r#"{{"kind":"Pod","apiVersion":"v1",{metadata},{spec},{status}}}"#)
}
