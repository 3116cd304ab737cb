//! Close codes and the payload of a Close frame (RFC 6455 5.5.1, 7.4; IANA's register).

use std::fmt;

use super::error::{PeerError, UsageError};
use super::frame::MAX_CONTROL;

/// The longest reason: what a control frame holds, less the two bytes of the code.
pub const MAX_REASON: usize = MAX_CONTROL - 2;

/// Why a connection was closed (RFC 6455 7.4). Any number can be held; [`may_be_sent`](Self::may_be_sent)
/// tells which may stand in a Close frame.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct CloseCode(u16);

/// The named codes, their names, and what they mean in English and Chinese: one row a code.
macro_rules! codes {
    ($($name:ident = $code:literal, $title:literal, $english:literal, $chinese:literal;)*) => {
        impl CloseCode {
            $(#[doc = concat!($title, ": ", $english, ".")] pub const $name: Self = Self($code);)*

            /// Every named code, in order.
            pub const NAMED: &'static [Self] = &[$(Self($code)),*];

            /// The name of its constant, such as `GOING_AWAY`.
            pub fn constant(self) -> Option<&'static str> {
                match self.0 {
                    $($code => Some(stringify!($name)),)*
                    _ => None,
                }
            }

            // Three functions, so that a program which shows one of them does not contain the others.
            fn title(self) -> Option<&'static str> {
                match self.0 {
                    $($code => Some($title),)*
                    _ => None,
                }
            }

            fn english(self) -> Option<&'static str> {
                match self.0 {
                    $($code => Some($english),)*
                    _ => None,
                }
            }

            fn chinese(self) -> Option<&'static str> {
                match self.0 {
                    $($code => Some($chinese),)*
                    _ => None,
                }
            }
        }
    };
}

codes! {
    NORMAL = 1000, "Normal Closure", "the purpose of the connection is fulfilled", "正常关闭:连接的目的已经达成";
    GOING_AWAY = 1001, "Going Away", "the endpoint goes away: a server stops, or a page is left", "终端离开:服务器停止服务,或浏览器离开了页面";
    PROTOCOL_ERROR = 1002, "Protocol Error", "the other side broke the protocol", "协议错误:对方违反了协议";
    UNSUPPORTED_DATA = 1003, "Unsupported Data", "data of a kind that the endpoint does not accept", "不支持的数据:收到了无法接受的数据类型";
    RESERVED = 1004, "Reserved", "reserved; its meaning may be defined in the future", "保留:将来可能定义其意义";
    NO_STATUS = 1005, "No Status Received", "the Close frame held no code; never sent", "没有状态码:关闭帧没有携带状态码;从不发送";
    ABNORMAL = 1006, "Abnormal Closure", "the connection ended without a Close frame; never sent", "异常关闭:连接未经关闭帧就已断开;从不发送";
    INVALID_PAYLOAD = 1007, "Invalid Payload Data", "a message whose content does not fit its type, such as text that is not UTF-8", "数据无效:消息内容与类型不符,例如文本不是 UTF-8";
    POLICY_VIOLATION = 1008, "Policy Violation", "a message that the endpoint's policy forbids", "违反策略:消息不符合约定;不适用其他状态码时使用";
    TOO_BIG = 1009, "Message Too Big", "a message that is too big to be processed", "消息过大:超出了能够处理的大小";
    MANDATORY_EXTENSION = 1010, "Mandatory Extension", "the server did not negotiate an extension that the client needs", "缺少扩展:服务器没有商定客户端必需的扩展";
    INTERNAL_ERROR = 1011, "Internal Error", "an unexpected condition kept the server from fulfilling the request", "内部错误:服务器遇到意外情况,无法完成请求";
    SERVICE_RESTART = 1012, "Service Restart", "the server restarts; reconnect after a random delay", "服务重启:服务器正在重启,请随机延迟后重连";
    TRY_AGAIN_LATER = 1013, "Try Again Later", "the server is overloaded; connect to another one or later", "稍后再试:服务器暂时过载";
    BAD_GATEWAY = 1014, "Bad Gateway", "a gateway got an invalid answer from the server behind it", "网关错误:网关从上游服务器得到了无效的响应";
    TLS_HANDSHAKE = 1015, "TLS Handshake", "the TLS handshake failed; never sent", "TLS 握手失败,例如证书无法验证;从不发送";
    UNAUTHORIZED = 3000, "Unauthorized", "the endpoint needs authentication first", "未授权:需要先进行身份验证";
    FORBIDDEN = 3003, "Forbidden", "the endpoint is authenticated but lacks the permission", "禁止访问:没有所需的权限";
    TIMEOUT = 3008, "Timeout", "the endpoint took too long to act", "超时:对方没有及时响应";
}

impl CloseCode {
    /// The code with this number.
    pub const fn new(code: u16) -> Self {
        Self(code)
    }

    /// The number.
    pub const fn get(self) -> u16 {
        self.0
    }

    /// Whether the code may stand in a Close frame: 1000–1003, 1007–1014 and 3000–4999. The others are
    /// reserved (1004, 1016–2999), stand for something that was *not* received (1005, 1006, 1015), or are
    /// outside every range (RFC 6455 7.4.1, 7.4.2).
    pub const fn may_be_sent(self) -> bool {
        matches!(self.0, 1000..=1003 | 1007..=1014 | 3000..=4999)
    }

    /// Whether the peer ended on purpose and without complaint: 1000, 1001 or no code at all.
    pub const fn is_clean(self) -> bool {
        matches!(self.0, 1000 | 1001 | 1005)
    }

    /// The registered name, such as `Going Away`.
    pub fn name(self) -> Option<&'static str> {
        self.title()
    }

    /// What the code means, in English.
    pub fn explain(self) -> &'static str {
        match self.english() {
            Some(english) => english,
            None => match self.0 {
                0..=999 => "not used",
                1000..=2999 => "reserved for the protocol and its extensions",
                3000..=3999 => "registered for a library, a framework or an application",
                4000..=4999 => "private: its meaning is agreed on by the application",
                5000.. => "outside every range",
            },
        }
    }

    /// What the code means, in Chinese.
    pub fn explain_zh(self) -> &'static str {
        match self.chinese() {
            Some(chinese) => chinese,
            None => match self.0 {
                0..=999 => "不使用",
                1000..=2999 => "保留给协议及其扩展",
                3000..=3999 => "供库、框架和应用程序注册使用",
                4000..=4999 => "私有:其意义由应用程序自行约定",
                5000.. => "超出所有范围",
            },
        }
    }
}

impl From<u16> for CloseCode {
    fn from(code: u16) -> Self {
        Self(code)
    }
}

impl From<CloseCode> for u16 {
    fn from(code: CloseCode) -> Self {
        code.0
    }
}

impl fmt::Display for CloseCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.name() {
            Some(name) => write!(f, "{} ({name})", self.0),
            None => write!(f, "{}", self.0),
        }
    }
}

impl fmt::Debug for CloseCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "CloseCode({self})")
    }
}

/// What a Close frame says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CloseFrame {
    /// The code; [`CloseCode::NO_STATUS`] where the frame was empty.
    pub code: CloseCode,
    /// The reason, at most 123 bytes of UTF-8; often empty.
    pub reason: String,
}

impl CloseFrame {
    /// Reads the payload of a Close frame (RFC 6455 5.5.1).
    ///
    /// # Errors
    /// One lonely byte, a code that must not be sent, a reason that is not UTF-8.
    pub fn decode(payload: &[u8]) -> Result<Self, PeerError> {
        let (code, reason) = match payload {
            [] => return Ok(Self { code: CloseCode::NO_STATUS, reason: String::new() }),
            [_] => return Err(PeerError::CloseOneByte),
            [high, low, reason @ ..] => (CloseCode(u16::from_be_bytes([*high, *low])), reason),
        };
        if !code.may_be_sent() {
            return Err(PeerError::CloseCodeForbidden(code));
        }
        let reason = std::str::from_utf8(reason).map_err(|_| PeerError::CloseReasonNotUtf8)?;
        Ok(Self { code, reason: reason.to_owned() })
    }

    /// The payload that says `code` and `reason`: empty for [`CloseCode::NO_STATUS`] without a reason.
    ///
    /// # Errors
    /// A code that must not be sent, a reason over 123 bytes or without a code.
    pub fn encode(code: CloseCode, reason: &str) -> Result<Vec<u8>, UsageError> {
        if code == CloseCode::NO_STATUS && reason.is_empty() {
            return Ok(Vec::new());
        }
        if !code.may_be_sent() {
            return Err(UsageError::CloseCodeForbidden(code));
        }
        if reason.len() > MAX_REASON {
            return Err(UsageError::CloseReasonTooLong(reason.len()));
        }
        let mut payload = Vec::with_capacity(2 + reason.len());
        payload.extend_from_slice(&code.0.to_be_bytes());
        payload.extend_from_slice(reason.as_bytes());
        Ok(payload)
    }
}
