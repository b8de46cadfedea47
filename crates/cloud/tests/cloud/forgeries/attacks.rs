//! The table of attacks with their expected answers, and of requests that only look like attacks.

use super::{ADMINISTRATOR, BOB_DISABLED, CAROL_DELETED, CROWD, STAFF};
use crossrealm_krb::crypto::{Enctype, Key};
use crossrealm_krb::messages::{
    AuthorizationDataElement, KdcReq, KerberosTime, PaData, PrincipalName, TgsReq,
    TransitedEncoding, ad_type, encode, flags, kdc_option, name_type, pa_type,
};
use crossrealm_krb::pac::{Buffer, SidAndAttributes};
use crossrealm_testkit::trusted_tenant::now;
use crossrealm_testkit::two_realms::{Referral, RequestDraft, TENANT_REALM, TwoRealms};
use crossrealm_types::Sid;

/// An attack: its name, the error code as RFC 4120 §7.5.9 numbers it, the reason, and the request.
pub(super) type Attack = (
    &'static str,
    i32,
    &'static str,
    fn(&mut TwoRealms) -> Vec<u8>,
);
/// A request that must be answered with a ticket, because AD vouches for its content or we ignore it.
pub(super) type Harmless = (&'static str, fn(&mut TwoRealms) -> Vec<u8>);

pub(super) fn key(byte: u8) -> Key {
    Key::new(Enctype::Aes256Sha1, &[byte; 32]).unwrap()
}

/// An honest request with one change in the referral or in the request, made before encryption and signature.
pub(super) fn forged(
    world: &mut TwoRealms,
    edit: impl FnOnce(&mut Referral, &mut RequestDraft),
) -> Vec<u8> {
    world.now = now();
    let (mut referral, mut ask) = (world.referral(), world.request_draft());
    edit(&mut referral, &mut ask);
    let ticket = world.encrypt_referral(referral);
    world.request(ticket, ask)
}

/// Sets the client's SID in every buffer of the PAC that holds it.
pub(super) fn identify(referral: &mut Referral, sid: &Sid) {
    for buffer in referral.pac.as_mut().unwrap() {
        match buffer {
            Buffer::LogonInfo(info) => {
                info.domain_sid = sid.domain().unwrap();
                info.user_rid = sid.rid();
            }
            Buffer::Requester(requester) => *requester = sid.clone(),
            Buffer::UpnDns(upn) => upn.account = None,
            _ => {}
        }
    }
}

pub(super) fn rename(referral: &mut Referral, ask: &mut RequestDraft, name: &str) {
    let cname = PrincipalName::new(name_type::PRINCIPAL, &[name]);
    referral.part.cname = cname.clone();
    ask.authenticator.cname = cname;
    for buffer in referral.pac.as_mut().unwrap() {
        if let Buffer::ClientInfo(info) = buffer {
            info.name = name.into();
        }
    }
}

/// A referral that AD would issue to another user.
pub(super) fn of_user(world: &mut TwoRealms, rid: u32, name: &'static str) -> Vec<u8> {
    let sid = world.trust.forest.domains[0].sid.with_rid(rid).unwrap();
    forged(world, |r, a| {
        identify(r, &sid);
        rename(r, a, name);
    })
}

pub(super) fn with_sid(world: &mut TwoRealms, sid: &str) -> Vec<u8> {
    let sid: Sid = sid.parse().unwrap();
    forged(world, |r, _| identify(r, &sid))
}

pub(super) fn with_option(world: &mut TwoRealms, option: u32) -> Vec<u8> {
    forged(world, |_, a| a.body.kdc_options.0 |= option)
}

pub(super) fn with_times(world: &mut TwoRealms, start: i64, end: i64) -> Vec<u8> {
    let now = now().unix_s;
    forged(world, |r, _| {
        r.part.starttime = Some(KerberosTime(now + start));
        r.part.endtime = KerberosTime(now + end);
    })
}

pub(super) fn logon_info(referral: &mut Referral) -> &mut crossrealm_krb::pac::LogonInfo {
    let buffers = referral.pac.as_mut().unwrap();
    let found = buffers.iter_mut().find_map(|buffer| match buffer {
        Buffer::LogonInfo(info) => Some(info),
        _ => None,
    });
    found.unwrap()
}

/// The offset of a buffer's PAC_INFO_BUFFER, [MS-PAC] 2.3 and 2.4.
pub(super) fn entry(pac: &[u8], kind: u32) -> usize {
    let word = |at: usize| u32::from_le_bytes(pac[at..at + 4].try_into().unwrap());
    let count = word(0) as usize;
    (0..count)
        .map(|n| 8 + 16 * n)
        .find(|at| word(*at) == kind)
        .unwrap()
}

pub(super) fn put(pac: &mut [u8], at: usize, value: u32) {
    pac[at..at + 4].copy_from_slice(&value.to_le_bytes());
}

pub(super) fn data_of(pac: &[u8], kind: u32) -> usize {
    let at = entry(pac, kind) + 8;
    u32::from_le_bytes(pac[at..at + 4].try_into().unwrap()) as usize
}

pub(super) const PAC: &[Attack] = &[
    ("a RID in LOGON_INFO edited", 41, "pac-signature", |w| {
        forged(w, |r, _| {
            r.tamper_pac = Some(|pac| {
                let at = pac
                    .windows(4)
                    .position(|w| w == 1104u32.to_le_bytes())
                    .unwrap();
                pac[at] ^= 1;
            });
        })
    }),
    ("PAC signed by a key nobody has", 41, "pac-signature", |w| {
        forged(w, |r, _| r.pac_key = key(0x66))
    }),
    (
        "PAC signature labelled as RC4 keys make it (HMAC-MD5)",
        41,
        "pac-malformed",
        |w| {
            forged(w, |r, _| {
                r.tamper_pac = Some(|pac| {
                    let at = data_of(pac, 6);
                    put(pac, at, (-138i32).cast_unsigned());
                });
            })
        },
    ),
    ("server signature zeroed", 41, "pac-signature", |w| {
        forged(w, |r, _| {
            r.tamper_pac = Some(|pac| {
                let at = data_of(pac, 6);
                pac[at + 4..at + 16].fill(0);
            });
        })
    }),
    ("PAC removed", 20, "pac-missing", |w| {
        forged(w, |r, _| r.pac = None)
    }),
    ("PAC cut", 41, "pac-malformed", |w| {
        forged(w, |r, _| r.tamper_pac = Some(|pac| pac.truncate(40)))
    }),
    ("PAC empty", 41, "pac-malformed", |w| {
        forged(w, |r, _| r.tamper_pac = Some(Vec::clear))
    }),
    (
        "PAC that counts 4 billion buffers",
        41,
        "pac-malformed",
        |w| forged(w, |r, _| r.tamper_pac = Some(|pac| put(pac, 0, u32::MAX))),
    ),
    ("PAC whose buffers overlap", 41, "pac-malformed", |w| {
        forged(w, |r, _| {
            r.tamper_pac = Some(|pac| {
                let (from, to) = (data_of(pac, 1), entry(pac, 10) + 8);
                put(pac, to, u32::try_from(from).unwrap());
            });
        })
    }),
    (
        "PAC whose buffer lies beyond its end",
        41,
        "pac-malformed",
        |w| {
            forged(w, |r, _| {
                r.tamper_pac = Some(|pac| {
                    let at = entry(pac, 1) + 4;
                    put(pac, at, 0x7FFF_FFFF);
                });
            })
        },
    ),
    (
        "PAC of another client than the ticket",
        36,
        "pac-mismatch",
        |w| {
            forged(w, |r, a| {
                let cname = PrincipalName::new(name_type::PRINCIPAL, &["bob"]);
                r.part.cname = cname.clone();
                a.authenticator.cname = cname;
            })
        },
    ),
    ("PAC of another sign-in", 36, "pac-mismatch", |w| {
        forged(w, |r, _| {
            r.part.authtime = KerberosTime(r.part.authtime.0 - 1)
        })
    }),
    ("two SIDs in one PAC", 36, "pac-mismatch", |w| {
        forged(w, |r, _| logon_info(r).user_rid = 1105)
    }),
];

pub(super) const CLIENT: &[Attack] = &[
    (
        "another realm's client under our trust key",
        12,
        "client-realm-not-trusted",
        |w| {
            forged(w, |r, a| {
                r.part.crealm = "EVIL.EXAMPLE".into();
                a.authenticator.crealm = "EVIL.EXAMPLE".into();
            })
        },
    ),
    (
        "a client of the tenant's own realm",
        12,
        "client-realm-not-trusted",
        |w| {
            forged(w, |r, a| {
                r.part.crealm = TENANT_REALM.into();
                a.authenticator.crealm = TENANT_REALM.into();
            })
        },
    ),
    (
        "a SID outside the trusted domain",
        12,
        "sid-outside-domain",
        |w| with_sid(w, "S-1-5-21-9-9-9-1104"),
    ),
    (
        "a built-in SID: Administrators",
        12,
        "sid-outside-domain",
        |w| with_sid(w, "S-1-5-32-544"),
    ),
    ("the Administrator of the domain", 12, "sid-reserved", |w| {
        of_user(w, ADMINISTRATOR, "Administrator")
    }),
    ("a user who was not synced", 6, "identity-not-synced", |w| {
        of_user(w, 4242, "dana")
    }),
    (
        "a synced user's name on a SID that is not",
        6,
        "identity-not-synced",
        |w| of_user(w, 4242, "alice"),
    ),
    (
        "alice's SID by another's name",
        36,
        "client-name-mismatch",
        |w| forged(w, |r, a| rename(r, a, "bob")),
    ),
    (
        "alice's SID by a computer's name",
        36,
        "client-name-mismatch",
        |w| forged(w, |r, a| rename(r, a, "dc1$")),
    ),
    ("a disabled user", 18, "identity-disabled", |w| {
        of_user(w, BOB_DISABLED, "bob")
    }),
    ("a deleted user", 18, "identity-deleted", |w| {
        of_user(w, CAROL_DELETED, "carol")
    }),
    ("the SID of a group", 12, "identity-not-a-user", |w| {
        of_user(w, STAFF, "staff")
    }),
    (
        "a user in more than 1,010 groups",
        12,
        "too-many-groups",
        |w| of_user(w, CROWD, "crowd"),
    ),
    (
        "a path through an unknown realm",
        28,
        "path-not-accepted",
        |w| {
            forged(w, |r, _| {
                r.part.transited = TransitedEncoding {
                    tr_type: 1,
                    contents: b"EVIL.EXAMPLE".to_vec().into(),
                };
            })
        },
    ),
    (
        "a path in an encoding that nobody knows",
        28,
        "path-not-accepted",
        |w| {
            forged(w, |r, _| {
                r.part.transited = TransitedEncoding {
                    tr_type: 99,
                    contents: b"CORP.CONTOSO.COM".to_vec().into(),
                };
            })
        },
    ),
];

pub(super) const TICKET: &[Attack] = &[
    (
        "sealed with a key nobody has",
        31,
        "ticket-integrity",
        |w| forged(w, |r, _| r.ticket_key = key(0x77)),
    ),
    (
        "sealed with AD's own krbtgt key",
        31,
        "ticket-integrity",
        |w| {
            let stolen = w.ad_krbtgt.clone();
            forged(w, |r, _| r.ticket_key = stolen)
        },
    ),
    (
        "one bit of the sealed ticket flipped",
        31,
        "ticket-integrity",
        |w| {
            w.now = now();
            let referral = w.referral();
            let (mut ticket, ask) = (w.encrypt_referral(referral), w.request_draft());
            let mut sealed = ticket.enc_part.cipher.to_vec();
            sealed[200] ^= 1;
            ticket.enc_part.cipher = sealed.into();
            w.request(ticket, ask)
        },
    ),
    (
        "an issuer that nobody trusts",
        12,
        "issuer-not-trusted",
        |w| forged(w, |r, _| r.realm = "EVIL.EXAMPLE".into()),
    ),
    (
        "a referral to another tenant's realm",
        35,
        "ticket-not-for-us",
        |w| {
            forged(w, |r, _| {
                r.sname = PrincipalName::krbtgt("KERBEROS.OTHER.CLOUD.EXAMPLE")
            })
        },
    ),
    (
        "a referral relabelled as the realm's own TGT",
        31,
        "ticket-integrity",
        |w| forged(w, |r, _| r.realm = TENANT_REALM.into()),
    ),
    (
        "a referral labelled RC4",
        14,
        "encryption-type-not-supported",
        |w| {
            w.now = now();
            let referral = w.referral();
            let (mut ticket, ask) = (w.encrypt_referral(referral), w.request_draft());
            ticket.enc_part.etype = 23;
            w.request(ticket, ask)
        },
    ),
    (
        "an RC4 session key inside",
        14,
        "encryption-type-not-supported",
        |w| forged(w, |r, _| r.part.key.keytype = 23),
    ),
    ("expired", 32, "ticket-expired", |w| {
        with_times(w, -3600, -1)
    }),
    ("not yet valid", 33, "ticket-not-yet-valid", |w| {
        with_times(w, 900, 3600)
    }),
    (
        "postdated and never validated",
        33,
        "ticket-not-yet-valid",
        |w| forged(w, |r, _| r.part.flags.0 |= flags::INVALID),
    ),
];

pub(super) const REQUEST: &[Attack] = &[
    (
        "a clock that is late by more than five minutes",
        37,
        "clock-skew",
        |w| forged(w, |_, a| a.authenticator.ctime.0 -= 400),
    ),
    (
        "a clock that is early by more than five minutes",
        37,
        "clock-skew",
        |w| forged(w, |_, a| a.authenticator.ctime.0 += 400),
    ),
    (
        "an authenticator of another client",
        36,
        "authenticator-mismatch",
        |w| {
            forged(w, |_, a| {
                a.authenticator.cname = PrincipalName::new(name_type::PRINCIPAL, &["bob"])
            })
        },
    ),
    (
        "an authenticator made without the session key",
        31,
        "authenticator-integrity",
        |w| {
            w.now = now();
            let referral = w.referral();
            let (ticket, ask) = (w.encrypt_referral(referral), w.request_draft());
            w.request_with(ticket, ask, &key(0x11))
        },
    ),
    ("no checksum of the request", 50, "checksum-missing", |w| {
        forged(w, |_, a| a.checksum = false)
    }),
    (
        "a replay with a changed body",
        41,
        "request-modified",
        |w| {
            let mut bytes = forged(w, |_, _| {});
            let at = bytes.windows(5).rposition(|w| w == b"acct1").unwrap();
            bytes[at] = b'x';
            bytes
        },
    ),
    (
        "FAST armor of another session",
        31,
        "armor-integrity",
        |w| {
            forged(w, |_, a| {
                a.fast = true;
                a.authenticator.subkey = Some((&key(0x12)).into());
            })
        },
    ),
    ("no ticket at all", 16, "no-ticket", |w| {
        w.now = now();
        let request = KdcReq::new(vec![], w.request_draft().body).unwrap();
        TgsReq(request).encode().unwrap()
    }),
    ("an AP-REQ that is garbage", 60, "malformed-ticket", |w| {
        w.now = now();
        let padata = vec![PaData::new(pa_type::TGS_REQ, vec![0x6E, 0x80, 0xFF])];
        TgsReq(KdcReq::new(padata, w.request_draft().body).unwrap())
            .encode()
            .unwrap()
    }),
    ("the realm of another tenant", 68, "wrong-realm", |w| {
        forged(w, |_, a| {
            a.body.realm = "KERBEROS.OTHER.CLOUD.EXAMPLE".into()
        })
    }),
    ("krbtgt of another realm", 7, "service-unknown", |w| {
        forged(w, |_, a| {
            a.body.sname = Some(PrincipalName::krbtgt("EVIL.EXAMPLE"))
        })
    }),
    ("krbtgt of AD's realm", 7, "service-unknown", |w| {
        forged(w, |_, a| {
            a.body.sname = Some(PrincipalName::krbtgt("CORP.CONTOSO.COM"))
        })
    }),
    ("a service that nobody has", 7, "service-unknown", |w| {
        forged(w, |_, a| {
            a.body.sname.as_mut().unwrap().components[1] = "acct9.file.contoso.cloud.example".into()
        })
    }),
    (
        "only RC4 and DES offered",
        14,
        "encryption-type-not-supported",
        |w| forged(w, |_, a| a.body.etype = vec![23, 3, 1]),
    ),
    ("an RC4 subkey", 14, "encryption-type-not-supported", |w| {
        forged(w, |_, a| {
            a.authenticator.subkey.as_mut().unwrap().keytype = 23
        })
    }),
    ("an end in the past", 11, "never-valid", |w| {
        forged(w, |_, a| a.body.till.0 -= 100_000)
    }),
    ("user-to-user", 13, "option-not-supported", |w| {
        with_option(w, kdc_option::ENC_TKT_IN_SKEY)
    }),
    (
        "constrained delegation (S4U2Proxy)",
        13,
        "option-not-supported",
        |w| with_option(w, kdc_option::CNAME_IN_ADDL_TKT),
    ),
    ("postdating", 13, "option-not-supported", |w| {
        with_option(w, kdc_option::POSTDATED)
    }),
    ("postdating allowed", 13, "option-not-supported", |w| {
        with_option(w, kdc_option::ALLOW_POSTDATE)
    }),
    ("validation", 13, "option-not-supported", |w| {
        with_option(w, kdc_option::VALIDATE)
    }),
    ("renewal of a referral", 13, "option-not-supported", |w| {
        with_option(w, kdc_option::RENEW)
    }),
    ("forwarding", 13, "option-not-supported", |w| {
        with_option(w, kdc_option::FORWARDED)
    }),
    ("proxying", 13, "option-not-supported", |w| {
        with_option(w, kdc_option::PROXY)
    }),
    (
        "protocol transition (S4U2Self)",
        13,
        "option-not-supported",
        |w| {
            forged(w, |_, a| {
                a.padata = vec![PaData::new(pa_type::FOR_USER, vec![])]
            })
        },
    ),
    (
        "protocol transition by certificate",
        13,
        "option-not-supported",
        |w| {
            forged(w, |_, a| {
                a.padata = vec![PaData::new(pa_type::S4U_X509_USER, vec![])]
            })
        },
    ),
    (
        "protocol transition under FAST",
        13,
        "option-not-supported",
        |w| {
            forged(w, |_, a| {
                a.fast = true;
                a.padata = vec![PaData::new(pa_type::FOR_USER, vec![])];
            })
        },
    ),
];

pub(super) const HARMLESS: &[Harmless] = &[
    ("extra SIDs: Domain Admins, Administrators, SYSTEM", |w| {
        forged(w, |r, _| {
            let extra = ["S-1-5-21-1111-2222-3333-512", "S-1-5-32-544", "S-1-5-18"].map(|sid| {
                SidAndAttributes {
                    sid: sid.parse().unwrap(),
                    attributes: 7,
                }
            });
            logon_info(r).extra_sids = extra.into();
            logon_info(r).user_flags |= crossrealm_krb::pac::LogonInfo::EXTRA_SIDS;
        })
    }),
    ("a SID history of another domain", |w| {
        forged(w, |r, _| {
            let sid = "S-1-5-21-9-9-9-500".parse().unwrap();
            logon_info(r).extra_sids = vec![SidAndAttributes { sid, attributes: 7 }];
            logon_info(r).user_flags |= crossrealm_krb::pac::LogonInfo::EXTRA_SIDS;
        })
    }),
    ("groups that the directory does not grant", |w| {
        let domain = w.trust.forest.domains[0].sid.clone();
        let groups: Vec<Sid> = [512, 519, 1299]
            .iter()
            .map(|rid| domain.with_rid(*rid).unwrap())
            .collect();
        forged(w, |r, _| logon_info(r).set_groups(groups.iter()))
    }),
    ("Domain Admins as the primary group", |w| {
        forged(w, |r, _| logon_info(r).primary_group_rid = 512)
    }),
    ("every flag that a ticket can have", |w| {
        forged(w, |r, _| r.part.flags.0 = !flags::INVALID)
    }),
    (
        "authorization data of the client's own, beside the PAC",
        |w| {
            forged(w, |r, a| {
                let inner = vec![AuthorizationDataElement {
                    ad_type: ad_type::WIN2K_PAC,
                    data: b"mine".to_vec().into(),
                }];
                let element = AuthorizationDataElement {
                    ad_type: 4711,
                    data: encode(&inner).unwrap().into(),
                };
                r.part.authorization_data = Some(vec![element]);
                a.authenticator.authorization_data = Some(inner);
            })
        },
    ),
    ("an end far beyond the policy", |w| {
        forged(w, |r, a| {
            r.part.endtime.0 += 10_000_000;
            a.body.till.0 += 10_000_000;
        })
    }),
];
