//! The loopback interface of a network that a run has for itself.

use nix::libc;
use std::io;
use std::os::fd::AsRawFd;

const NAME: &[u8] = b"lo";
/// As on an Ethernet: a share of lost packets is then of packets as a cable carries them, not of
/// pieces of up to 64 KiB.
const PACKET_BYTES_MAX: i32 = 1500;
/// `linux/ethtool.h`: whether the interface takes a sender's packets uncut.
const ETHTOOL_STSO: u32 = 0x1f;

/// Brings it up, with packets as on an Ethernet.
///
/// # Errors
/// Without the right to change it.
pub fn bring_up() -> io::Result<()> {
    let socket = std::net::UdpSocket::bind(("0.0.0.0", 0))?;
    let mut request = named();
    request.ifr_ifru.ifru_mtu = PACKET_BYTES_MAX;
    control(&socket, libc::SIOCSIFMTU, &mut request)?;
    let mut uncut = EthtoolValue { command: ETHTOOL_STSO, value: 0 };
    let mut request = named();
    request.ifr_ifru.ifru_data = (&raw mut uncut).cast();
    control(&socket, libc::SIOCETHTOOL, &mut request)?;
    let mut request = named();
    request.ifr_ifru.ifru_flags = (libc::IFF_UP | libc::IFF_RUNNING) as i16;
    control(&socket, libc::SIOCSIFFLAGS, &mut request)
}

/// `struct ethtool_value`.
#[repr(C)]
struct EthtoolValue {
    command: u32,
    value: u32,
}

fn named() -> libc::ifreq {
    // SAFETY: plain numbers and bytes, for which zero is a value.
    let mut request: libc::ifreq = unsafe { std::mem::zeroed() };
    for (to, from) in request.ifr_name.iter_mut().zip(NAME) {
        *to = *from as libc::c_char;
    }
    request
}

fn control(
    socket: &std::net::UdpSocket,
    what: libc::c_ulong,
    request: &mut libc::ifreq,
) -> io::Result<()> {
    // SAFETY: each of the requests above reads and writes one `ifreq`, and what it points to lives.
    let result = unsafe { libc::ioctl(socket.as_raw_fd(), what as _, request) };
    if result < 0 { Err(io::Error::last_os_error()) } else { Ok(()) }
}
