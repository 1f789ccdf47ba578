//! A browser that a test drives: headless Chromium out of Debian's package (`tests/real/build`), in a container of the
//! host under test, on that host's network. It is spoken to over its standard input and output, by the DevTools protocol
//! with a NUL behind each message (`--remote-debugging-pipe`): no port, no WebSocket.

use crate::host::Host;
use crate::real::load;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};
use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Child, ChildStdin, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::time::{Duration, Instant};

/// How long anything may take; a bound for a loaded machine.
const PATIENCE: Duration = Duration::from_secs(60);
/// From one look at the page to the next.
const PERIOD: Duration = Duration::from_millis(30);

/// What the browser's process is: its own sandbox is the container.
const PROGRAM: &str = "exec chromium-headless-shell --no-sandbox --disable-gpu --hide-scrollbars --force-color-profile=srgb \
                       --remote-debugging-pipe about:blank 3<&0 4>&1 1>&2";

/// A browser with one page.
pub struct Browser {
    child: Child,
    input: Option<ChildStdin>,
    messages: Receiver<Value>,
    session: Option<String>,
    last: u64,
    /// What the page has complained about: exceptions, errors of the console, violations of its content policy.
    pub complaints: Vec<String>,
}

impl Browser {
    /// Starts one on a host, in English, and waits for its page.
    pub fn start(host: &Host) -> Self {
        load(host, "chromium");
        Self::again(host)
    }

    /// The same where the image is there already.
    pub fn again(host: &Host) -> Self {
        let args = ["run", "--rm", "-i", "--init", "--network", "host", "--shm-size", "512m", "-e", "HOME=/tmp"];
        let mut command = host.command(&args);
        command.args(["--name", "browser", "chromium", "sh", "-c", PROGRAM]);
        let mut child =
            command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null()).spawn().expect("start rcr");
        let (input, output) = (child.stdin.take(), child.stdout.take().expect("its output"));
        let (sender, messages) = channel();
        std::thread::spawn(move || {
            let mut output = BufReader::new(output);
            let mut bytes = Vec::new();
            while output.read_until(0, &mut bytes).is_ok_and(|got| got > 0) {
                let message = bytes.strip_suffix(&[0]).and_then(|text| serde_json::from_slice(text).ok());
                bytes.clear();
                if message.is_some_and(|message: Value| sender.send(message).is_err()) {
                    return;
                }
            }
        });
        let mut browser = Self { child, input, messages, session: None, last: 0, complaints: Vec::new() };
        let page = browser.call("Target.createTarget", json!({"url": "about:blank"}));
        let attach = json!({"targetId": page["targetId"], "flatten": true});
        let session = browser.call("Target.attachToTarget", attach)["sessionId"].as_str().map(str::to_owned);
        browser.session = session;
        for domain in ["Page", "Runtime", "Log", "Network"] {
            browser.call(&format!("{domain}.enable"), json!({}));
        }
        browser.language("en-US");
        browser.size(1280, 900);
        browser
    }

    /// One call of the protocol; its result.
    #[track_caller]
    pub fn call(&mut self, method: &str, params: Value) -> Value {
        self.last += 1;
        let mut message = json!({"id": self.last, "method": method, "params": params});
        if let Some(session) = &self.session {
            message["sessionId"] = json!(session);
        }
        let bytes = [message.to_string().as_bytes(), b"\0"].concat();
        self.input.as_mut().expect("it runs").write_all(&bytes).expect("the browser reads");
        let until = Instant::now() + PATIENCE;
        loop {
            let message = match self.messages.recv_timeout(until.saturating_duration_since(Instant::now())) {
                Ok(message) => message,
                Err(RecvTimeoutError::Timeout) => panic!("{method}: no answer"),
                Err(RecvTimeoutError::Disconnected) => panic!("{method}: the browser has ended"),
            };
            if message["id"] == self.last {
                assert!(message["error"].is_null(), "{method}: {}", message["error"]);
                return message["result"].clone();
            }
            self.hear(&message);
        }
    }

    fn hear(&mut self, message: &Value) {
        let params = &message["params"];
        match message["method"].as_str() {
            Some("Runtime.exceptionThrown") => self.complaints.push(params["exceptionDetails"].to_string()),
            Some("Runtime.consoleAPICalled") if params["type"] == "error" => self.complaints.push(params.to_string()),
            Some("Log.entryAdded") if params["entry"]["level"] == "error" => {
                self.complaints.push(params["entry"].to_string());
            }
            _ => {}
        }
    }

    /// What it asks for first.
    pub fn language(&mut self, language: &str) {
        let agent = self.call("Browser.getVersion", json!({}))["userAgent"].clone();
        self.call("Network.setUserAgentOverride", json!({"userAgent": agent, "acceptLanguage": language}));
    }

    /// The window's size, in pixels.
    pub fn size(&mut self, width: u32, height: u32) {
        let metrics = json!({"width": width, "height": height, "deviceScaleFactor": 1, "mobile": false});
        self.call("Emulation.setDeviceMetricsOverride", metrics);
    }

    /// Light or dark; without things that move.
    pub fn dark(&mut self, dark: bool) {
        let scheme = if dark { "dark" } else { "light" };
        let features = json!([{"name": "prefers-color-scheme", "value": scheme}, {"name": "prefers-reduced-motion", "value": "reduce"}]);
        self.call("Emulation.setEmulatedMedia", json!({"features": features}));
    }

    /// Opens an address, and waits until the page says that it is ready.
    #[track_caller]
    pub fn open(&mut self, address: &str) {
        self.call("Page.navigate", json!({"url": "about:blank"}));
        self.call("Page.navigate", json!({"url": address}));
        self.until("document.body?.dataset.ready === 'yes'");
    }

    /// The value of an expression in the page.
    #[track_caller]
    pub fn value(&mut self, expression: &str) -> Value {
        let params = json!({"expression": expression, "returnByValue": true, "awaitPromise": true});
        let result = self.call("Runtime.evaluate", params);
        assert!(result["exceptionDetails"].is_null(), "{expression}: {}", result["exceptionDetails"]);
        result["result"]["value"].clone()
    }

    /// Waits until an expression is true.
    #[track_caller]
    pub fn until(&mut self, expression: &str) {
        let until = Instant::now() + PATIENCE;
        loop {
            // While a page is loaded there is nothing to ask.
            let params = json!({"expression": format!("Boolean({expression})"), "returnByValue": true});
            let result = self.call("Runtime.evaluate", params);
            if result["result"]["value"] == true {
                return;
            }
            let seen = || result["exceptionDetails"].to_string();
            if Instant::now() > until {
                let seen = seen();
                let text = self.value("document.body.innerText");
                panic!(
                    "never true: {expression} ({seen})\n{}\n{:?}",
                    text.as_str().unwrap_or_default(),
                    self.complaints
                );
            }
            std::thread::sleep(PERIOD);
        }
    }

    /// Waits until the page shows a text.
    #[track_caller]
    pub fn sees(&mut self, text: &str) {
        self.until(&format!("document.body.innerText.includes({})", json!(text)));
    }

    /// Waits until an element has a text.
    #[track_caller]
    pub fn sees_in(&mut self, selector: &str, text: &str) {
        let find = format!("[...document.querySelectorAll({})]", json!(selector));
        self.until(&format!("{find}.some((el) => el.innerText.includes({}))", json!(text)));
    }

    /// Clicks into the middle of the first element that fits and shows a text, as a mouse does.
    #[track_caller]
    pub fn click(&mut self, selector: &str, text: &str) {
        let find = format!(
            "[...document.querySelectorAll({})].find((el) => el.innerText.includes({}) && el.offsetParent)",
            json!(selector),
            json!(text)
        );
        self.until(&find);
        let at = self.value(&format!(
            "(() => {{ const el = {find}; el.scrollIntoView({{block: 'center', inline: 'center'}}); const r = el.getBoundingClientRect(); \
             const [x, y] = [r.left + r.width / 2, r.top + r.height / 2]; const top = document.elementFromPoint(x, y); \
             return {{ x, y, free: el.contains(top), top: top?.outerHTML.slice(0, 200) }}; }})()"
        ));
        assert_eq!(at["free"], true, "{selector} {text:?} is covered by {}", at["top"]);
        for kind in ["mousePressed", "mouseReleased"] {
            let event = json!({"type": kind, "x": at["x"], "y": at["y"], "button": "left", "clickCount": 1});
            self.call("Input.dispatchMouseEvent", event);
        }
    }

    /// Presses a key: `Enter`, `Tab`, `w`.
    pub fn press(&mut self, key: &str) {
        let code = match key {
            "Enter" => 13,
            "Tab" => 9,
            "Escape" => 27,
            " " => 32,
            "ArrowLeft" => 37,
            "ArrowUp" => 38,
            "ArrowRight" => 39,
            "ArrowDown" => 40,
            other => i32::from(other.as_bytes()[0].to_ascii_uppercase()),
        };
        let text = match key {
            "Enter" => "\r",
            one if one.len() == 1 => one,
            _ => "",
        };
        for kind in ["keyDown", "keyUp"] {
            let mut event = json!({"type": kind, "key": key, "windowsVirtualKeyCode": code});
            if kind == "keyDown" && !text.is_empty() {
                event["text"] = json!(text);
            }
            self.call("Input.dispatchKeyEvent", event);
        }
    }

    /// Types a text where the focus is.
    pub fn types(&mut self, text: &str) {
        self.call("Input.insertText", json!({"text": text}));
    }

    /// What has the focus: its text.
    pub fn focus(&mut self) -> String {
        self.value("document.activeElement.innerText").as_str().unwrap_or_default().to_owned()
    }

    /// A picture of the window.
    pub fn picture(&mut self, path: &Path) {
        let shot = self.call("Page.captureScreenshot", json!({"format": "png", "optimizeForSpeed": false}));
        let bytes = STANDARD.decode(shot["data"].as_str().expect("a picture")).expect("base64");
        std::fs::write(path, bytes).expect("write the picture");
    }

    /// Nothing may have been complained about.
    #[track_caller]
    pub fn is_content(&mut self) {
        // What was said before this is heard now.
        self.value("1");
        assert!(self.complaints.is_empty(), "{:#?}", self.complaints);
    }
}

impl Drop for Browser {
    fn drop(&mut self) {
        // Its end of the pipe tells it to end; a container that does not is removed with its host.
        self.input = None;
        let until = Instant::now() + Duration::from_secs(10);
        while matches!(self.child.try_wait(), Ok(None)) && Instant::now() < until {
            std::thread::sleep(PERIOD);
        }
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
