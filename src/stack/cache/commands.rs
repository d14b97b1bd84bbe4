//! What the cache understands: a part of Redis's commands, with the same answers.

use super::store::{Held, Store};
use crate::stack::node::Counter;
use crate::wire::resp::{Value, put_bulk};
use bytes::{Bytes, BytesMut};
use std::time::{Duration, Instant};

/// Executes commands against one store.
pub struct Commands {
    pub store: Store,
    pub hits: Counter,
    pub misses: Counter,
    pub requests: Counter,
    pub entries: Counter,
}

/// What a connection does after an answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Then {
    GoOn,
    Close,
}

/// An answer, or the text of an error.
type Answer = Result<Value, String>;

const SYNTAX: &str = "ERR syntax error";
const NOT_INTEGER: &str = "ERR value is not an integer or out of range";

impl Commands {
    /// Executes one command and appends its answer.
    pub fn execute(&self, parts: &[Bytes], out: &mut BytesMut) -> Then {
        self.requests.add(1);
        let Some((name, args)) = parts.split_first() else { return Then::GoOn };
        let name = name.to_ascii_uppercase();
        if name == b"GET" && args.len() == 1 {
            self.get(&args[0], out);
            return Then::GoOn;
        }
        let value = self.answer(&name, args).unwrap_or_else(Value::Error);
        value.encode(out);
        if name == b"QUIT" { Then::Close } else { Then::GoOn }
    }

    /// The one that matters most: the value goes into the answer without a detour.
    fn get(&self, key: &Bytes, out: &mut BytesMut) {
        match self.look_up(key) {
            Some(value) => put_bulk(out, &value),
            None => Value::Nil.encode(out),
        }
    }

    fn look_up(&self, key: &Bytes) -> Option<Bytes> {
        let found = self.store.get(key).map(|entry| entry.value);
        let counter = if found.is_some() { &self.hits } else { &self.misses };
        counter.add(1);
        found
    }

    fn answer(&self, name: &[u8], args: &[Bytes]) -> Answer {
        match (name, args) {
            (b"SET", [key, value, options @ ..]) => self.set(key, value, options),
            (b"SETEX", [key, time, value]) => self.set_for(key, time, value, 1000),
            (b"PSETEX", [key, time, value]) => self.set_for(key, time, value, 1),
            (b"MGET", [_, ..]) => Ok(Value::Array(args.iter().map(|k| self.bulk(k)).collect())),
            (b"MSET", [_, ..]) if args.len().is_multiple_of(2) => {
                args.chunks_exact(2).for_each(|pair| self.store.hold(&pair[0]).put(&pair[1], None));
                Ok(Value::ok())
            }
            (b"DEL" | b"UNLINK", [_, ..]) => {
                count(args.iter().filter(|key| self.store.hold(key).remove()))
            }
            (b"EXISTS", [_, ..]) => count(args.iter().filter(|key| self.store.get(key).is_some())),
            (b"EXPIRE", [key, time]) => self.expire(key, time, 1000),
            (b"PEXPIRE", [key, time]) => self.expire(key, time, 1),
            (b"TTL", [key]) => Ok(self.time_left(key, 1000)),
            (b"PTTL", [key]) => Ok(self.time_left(key, 1)),
            (b"INCR", [key]) => self.increment(key),
            (b"DBSIZE", []) => Ok(Value::Integer(self.tidy() as i64)),
            (b"FLUSHALL" | b"FLUSHDB", _) => {
                self.store.remove_all();
                Ok(Value::ok())
            }
            (b"INFO", _) => Ok(Value::Bulk(self.info().into())),
            _ => self.connection(name, args),
        }
    }

    /// Commands about the connection and the server.
    fn connection(&self, name: &[u8], args: &[Bytes]) -> Answer {
        match (name, args) {
            (b"PING", []) => Ok(Value::Simple("PONG".into())),
            (b"PING" | b"ECHO", [text]) => Ok(Value::Bulk(text.clone())),
            (b"SELECT", [index]) if index == "0" => Ok(Value::ok()),
            (b"SELECT", [_]) => Err("ERR DB index is out of range".into()),
            (b"HELLO", [] | [_, ..]) => hello(args),
            (b"CLIENT", [what, ..]) => client(what),
            (b"COMMAND", _) => Ok(Value::Array(Vec::new())),
            (b"QUIT", _) => Ok(Value::ok()),
            _ => Err(unknown(name, args)),
        }
    }

    fn bulk(&self, key: &Bytes) -> Value {
        self.look_up(key).map_or(Value::Nil, Value::Bulk)
    }

    /// One step under the key's lock: neither another SET nor the entry's end comes between.
    fn set(&self, key: &Bytes, value: &Bytes, options: &[Bytes]) -> Answer {
        let options = SetOptions::parse(options)?;
        let held = self.store.hold(key);
        let old = held.get();
        let is_refused = match options.only {
            Some(Only::New) => old.is_some(),
            Some(Only::Existing) => old.is_none(),
            None => false,
        };
        if is_refused {
            return Ok(Value::Nil);
        }
        let ends = match options.keeps_time {
            true => old.and_then(|entry| entry.ends),
            false => options.lasts.map(|lasts| Instant::now() + lasts),
        };
        held.put(value, ends);
        Ok(Value::ok())
    }

    fn set_for(&self, key: &Bytes, time: &Bytes, value: &Bytes, unit_ms: u64) -> Answer {
        let lasts = positive(time, unit_ms)?;
        self.store.hold(key).put(value, Some(Instant::now() + lasts));
        Ok(Value::ok())
    }

    fn expire(&self, key: &Bytes, time: &Bytes, unit_ms: u64) -> Answer {
        let time = integer(time)?;
        let held = self.store.hold(key);
        let Some(entry) = held.get() else { return Ok(Value::Integer(0)) };
        match u64::try_from(time).ok().filter(|t| *t > 0) {
            Some(time) => held.put(&entry.value, Some(Instant::now() + duration(time, unit_ms)?)),
            None => drop(held.remove()),
        }
        Ok(Value::Integer(1))
    }

    /// -2 when there is no such key, -1 when it has no end.
    fn time_left(&self, key: &Bytes, unit_ms: u128) -> Value {
        let left = match self.store.get(key) {
            None => -2,
            Some(entry) => entry.ends.map_or(-1, |ends| {
                let ms = ends.saturating_duration_since(Instant::now()).as_millis();
                ((ms + unit_ms / 2) / unit_ms) as i64
            }),
        };
        Value::Integer(left)
    }

    fn increment(&self, key: &Bytes) -> Answer {
        let held: Held<'_> = self.store.hold(key);
        let old = held.get();
        let number = old.as_ref().map_or(Ok(0), |entry| integer(&entry.value))?;
        let number = number.checked_add(1).ok_or(NOT_INTEGER)?;
        held.put(number.to_string().as_bytes(), old.and_then(|entry| entry.ends));
        Ok(Value::Integer(number))
    }

    /// Lets moka do its pending work; entries held after it.
    pub fn tidy(&self) -> u64 {
        let entries = self.store.tidy();
        self.entries.set(entries);
        entries
    }

    fn info(&self) -> String {
        let entries = self.tidy();
        format!(
            "# Server\r\nredis_version:7.0.0\r\nserver_name:brunt\r\n# Memory\r\nused_memory:{}\r\n\
             # Stats\r\nkeyspace_hits:{}\r\nkeyspace_misses:{}\r\n# Keyspace\r\ndb0:keys={entries}\r\n",
            self.store.bytes(),
            self.hits.get(),
            self.misses.get(),
        )
    }
}

enum Only {
    New,
    Existing,
}

#[derive(Default)]
struct SetOptions {
    lasts: Option<Duration>,
    keeps_time: bool,
    only: Option<Only>,
}

impl SetOptions {
    fn parse(words: &[Bytes]) -> Result<SetOptions, String> {
        let mut options = SetOptions::default();
        let mut words = words.iter();
        while let Some(word) = words.next() {
            let has_time = options.lasts.is_some() || options.keeps_time;
            match word.to_ascii_uppercase().as_slice() {
                b"NX" if options.only.is_none() => options.only = Some(Only::New),
                b"XX" if options.only.is_none() => options.only = Some(Only::Existing),
                b"KEEPTTL" if !has_time => options.keeps_time = true,
                unit @ (b"EX" | b"PX") if !has_time => {
                    let time = words.next().ok_or(SYNTAX)?;
                    options.lasts = Some(positive(time, if unit == b"EX" { 1000 } else { 1 })?);
                }
                _ => return Err(SYNTAX.into()),
            }
        }
        Ok(options)
    }
}

fn integer(text: &[u8]) -> Result<i64, String> {
    let text = std::str::from_utf8(text).map_err(|_| NOT_INTEGER)?;
    text.parse().map_err(|_| NOT_INTEGER.to_string())
}

fn positive(text: &[u8], unit_ms: u64) -> Result<Duration, String> {
    match u64::try_from(integer(text)?) {
        Ok(time) if time > 0 => duration(time, unit_ms),
        _ => Err("ERR invalid expire time in command".into()),
    }
}

/// At most a hundred years, so that no instant overflows.
fn duration(time: u64, unit_ms: u64) -> Result<Duration, String> {
    const LONGEST_MS: u64 = 100 * 365 * 24 * 3600 * 1000;
    let ms = time.checked_mul(unit_ms).filter(|ms| *ms <= LONGEST_MS);
    ms.map(Duration::from_millis).ok_or_else(|| "ERR invalid expire time in command".into())
}

fn count<I: Iterator>(items: I) -> Answer {
    Ok(Value::Integer(items.count() as i64))
}

/// Clients that ask for RESP3 fall back to RESP2 on this error.
fn hello(args: &[Bytes]) -> Answer {
    if args.first().is_some_and(|version| version != "2") {
        return Err("NOPROTO unsupported protocol version".into());
    }
    let text = |t: &'static str| Value::Bulk(Bytes::from_static(t.as_bytes()));
    Ok(Value::Array(vec![
        text("server"),
        text("brunt"),
        text("version"),
        text("7.0.0"),
        text("proto"),
        Value::Integer(2),
    ]))
}

fn client(what: &Bytes) -> Answer {
    match what.to_ascii_uppercase().as_slice() {
        b"SETINFO" | b"SETNAME" => Ok(Value::ok()),
        b"ID" => Ok(Value::Integer(1)),
        b"GETNAME" => Ok(Value::Nil),
        _ => Err("ERR unknown subcommand of CLIENT".into()),
    }
}

fn unknown(name: &[u8], args: &[Bytes]) -> String {
    const KNOWN: [&[u8]; 20] = [
        b"GET", b"SET", b"SETEX", b"PSETEX", b"MGET", b"MSET", b"DEL", b"UNLINK", b"EXISTS",
        b"EXPIRE", b"PEXPIRE", b"TTL", b"PTTL", b"INCR", b"DBSIZE", b"PING", b"ECHO", b"SELECT",
        b"CLIENT", b"HELLO",
    ];
    let text = String::from_utf8_lossy(name);
    let text: String = text.chars().take(64).collect();
    match KNOWN.contains(&name) {
        true => format!(
            "ERR wrong number of arguments for '{}' command: {}",
            text.to_lowercase(),
            args.len()
        ),
        false => format!("ERR unknown command '{text}'"),
    }
}
