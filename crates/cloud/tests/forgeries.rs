//! Forgeries of our own encoder through the real HTTPS endpoint: for each attack the exact KRB error code, reason and event,
//! and afterwards an honest ticket. `conformance` sends its own, made by Samba's library; these share no code with them.

mod common;

use common::Service;
use common::trusted::{DOMAIN, ask, now, world};
use crossrealm_api::{
    ApplyIdentities, EventQuery, IdentityChange, IdentityKind, IdentityState, Outcome, SyncDomain,
    SyncedIdentity, TenantCreate, TenantPolicy,
};
use crossrealm_kdc::two_realms::{Ask, Ending, Granted, Referral, TENANT_REALM, TwoRealms};
use crossrealm_kdc::{Event, EventId, ServiceKey, TenantId};
use crossrealm_krb::crypto::{Enctype, Key};
use crossrealm_krb::keytab::Keytab;
use crossrealm_krb::kkdcp;
use crossrealm_krb::messages::{
    AuthorizationDataElement, KdcReq, KerberosTime, KrbError, PaData, PrincipalName, TgsReq,
    TransitedEncoding, ad_type, decode, encode, flags, kdc_option, name_type, pa_type,
};
use crossrealm_krb::pac::{Buffer, Pac, SidAndAttributes};
use crossrealm_krb::sid::Sid;
use std::time::{Duration, Instant};

/// RIDs of the domain. Alice is 1104.
const BOB_DISABLED: u32 = 1105;
const CAROL_DELETED: u32 = 1106;
const CROWD: u32 = 1107;
const ADMINISTRATOR: u32 = 500;
const STAFF: u32 = 1200;
/// More groups than a ticket may hold.
const GROUPS: u32 = 1011;
const FIRST_GROUP: u32 = 20_000;

/// An attack, the error code of RFC 4120 §7.5.9 by its own number, the reason, and how it is made.
type Attack = (
    &'static str,
    i32,
    &'static str,
    fn(&mut TwoRealms) -> Vec<u8>,
);
/// What must be served, since it is AD's to vouch for or ours to leave out, and how it is made.
type Harmless = (&'static str, fn(&mut TwoRealms) -> Vec<u8>);

fn key(byte: u8) -> Key {
    Key::new(Enctype::Aes256Sha1, &[byte; 32]).unwrap()
}

/// An honest request with one thing changed in the referral or the request before they are signed and sealed.
fn forged(world: &mut TwoRealms, edit: impl FnOnce(&mut Referral, &mut Ask)) -> Vec<u8> {
    world.now = now();
    let (mut referral, mut ask) = (world.referral(), world.ask());
    edit(&mut referral, &mut ask);
    let ticket = world.seal(referral);
    world.request(ticket, ask)
}

/// The SID that the PAC says the client has, in each buffer that says so.
fn identify(referral: &mut Referral, sid: &Sid) {
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

fn rename(referral: &mut Referral, ask: &mut Ask, name: &str) {
    let cname = PrincipalName::new(name_type::PRINCIPAL, &[name]);
    referral.part.cname = cname.clone();
    ask.authenticator.cname = cname;
    for buffer in referral.pac.as_mut().unwrap() {
        if let Buffer::ClientInfo(info) = buffer {
            info.name = name.into();
        }
    }
}

/// A referral that AD would issue to another of its users.
fn of_user(world: &mut TwoRealms, rid: u32, name: &'static str) -> Vec<u8> {
    let sid = world.trust.domains[0].sid.with_rid(rid).unwrap();
    forged(world, |r, a| {
        identify(r, &sid);
        rename(r, a, name);
    })
}

fn with_sid(world: &mut TwoRealms, sid: &str) -> Vec<u8> {
    let sid: Sid = sid.parse().unwrap();
    forged(world, |r, _| identify(r, &sid))
}

fn with_option(world: &mut TwoRealms, option: u32) -> Vec<u8> {
    forged(world, |_, a| a.body.kdc_options.0 |= option)
}

fn with_times(world: &mut TwoRealms, start: i64, end: i64) -> Vec<u8> {
    let now = now().unix_s;
    forged(world, |r, _| {
        r.part.starttime = Some(KerberosTime(now + start));
        r.part.endtime = KerberosTime(now + end);
    })
}

fn logon_info(referral: &mut Referral) -> &mut crossrealm_krb::pac::LogonInfo {
    let buffers = referral.pac.as_mut().unwrap();
    let found = buffers.iter_mut().find_map(|buffer| match buffer {
        Buffer::LogonInfo(info) => Some(info),
        _ => None,
    });
    found.unwrap()
}

/// The offset of a buffer's entry in the PAC's head, [MS-PAC] 2.3 and 2.4.
fn entry(pac: &[u8], kind: u32) -> usize {
    let word = |at: usize| u32::from_le_bytes(pac[at..at + 4].try_into().unwrap());
    let count = word(0) as usize;
    (0..count)
        .map(|n| 8 + 16 * n)
        .find(|at| word(*at) == kind)
        .unwrap()
}

fn put(pac: &mut [u8], at: usize, value: u32) {
    pac[at..at + 4].copy_from_slice(&value.to_le_bytes());
}

fn data_of(pac: &[u8], kind: u32) -> usize {
    let at = entry(pac, kind) + 8;
    u32::from_le_bytes(pac[at..at + 4].try_into().unwrap()) as usize
}

const PAC: &[Attack] = &[
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

const CLIENT: &[Attack] = &[
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

const TICKET: &[Attack] = &[
    (
        "sealed with a key nobody has",
        31,
        "ticket-integrity",
        |w| forged(w, |r, _| r.seal_key = key(0x77)),
    ),
    (
        "sealed with AD's own krbtgt key",
        31,
        "ticket-integrity",
        |w| {
            let stolen = w.ad_krbtgt.clone();
            forged(w, |r, _| r.seal_key = stolen)
        },
    ),
    (
        "one bit of the sealed ticket flipped",
        31,
        "ticket-integrity",
        |w| {
            w.now = now();
            let referral = w.referral();
            let (mut ticket, ask) = (w.seal(referral), w.ask());
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
            let (mut ticket, ask) = (w.seal(referral), w.ask());
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

const REQUEST: &[Attack] = &[
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
            let (ticket, ask) = (w.seal(referral), w.ask());
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
        let request = KdcReq::new(vec![], w.ask().body).unwrap();
        TgsReq(request).encode().unwrap()
    }),
    ("an AP-REQ that is garbage", 60, "malformed-ticket", |w| {
        w.now = now();
        let padata = vec![PaData::new(pa_type::TGS_REQ, vec![0x6E, 0x80, 0xFF])];
        TgsReq(KdcReq::new(padata, w.ask().body).unwrap())
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

const HARMLESS: &[Harmless] = &[
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
        let domain = w.trust.domains[0].sid.clone();
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

fn identity(rid: u32, kind: IdentityKind, name: &str, domain: &Sid) -> SyncedIdentity {
    let is_user = kind == IdentityKind::User;
    SyncedIdentity {
        object_guid: guid(rid),
        kind,
        sid: domain.with_rid(rid).unwrap().to_string(),
        account_name: name.into(),
        upn: if is_user {
            format!("{name}@corp.contoso.com")
        } else {
            String::new()
        },
        display_name: String::new(),
        state: IdentityState::Enabled,
        disabled_reason: None,
        primary_group_rid: if is_user { 513 } else { 0 },
        members: vec![],
        more_members: false,
    }
}

fn guid(rid: u32) -> String {
    format!("00000000-0000-0000-0000-{rid:012}")
}

async fn apply(service: &Service, world: &TwoRealms, changes: Vec<IdentityChange>) {
    for chunk in changes.chunks(500) {
        let changes = ApplyIdentities {
            run_id: "99999999-9999-9999-9999-999999999999".into(),
            domain: SyncDomain {
                dns_name: DOMAIN.into(),
                flat_name: "CORP".into(),
                sid: world.trust.domains[0].sid.to_string(),
            },
            changes: chunk.to_vec(),
            last: true,
            ..ApplyIdentities::default()
        };
        let result = service
            .admin
            .apply_identities("contoso", DOMAIN, &changes)
            .await
            .unwrap();
        assert_eq!(result.refused, []);
    }
}

/// The people that the attacks speak of, and alice with her groups.
async fn people(service: &Service, world: &TwoRealms) {
    let domain = &world.trust.domains[0].sid;
    let upsert = |rid, kind, name: &str| IdentityChange::Upsert {
        identity: identity(rid, kind, name, domain),
    };
    let join = |group, member| IdentityChange::Members {
        object_guid: guid(group),
        add: vec![guid(member)],
        remove: vec![],
    };
    let (user, group) = (IdentityKind::User, IdentityKind::Group);
    let mut bob = identity(BOB_DISABLED, user, "bob", domain);
    bob.state = IdentityState::Disabled;
    let mut changes = vec![
        upsert(1104, user, "alice"),
        IdentityChange::Upsert { identity: bob },
        upsert(CAROL_DELETED, user, "carol"),
        IdentityChange::Delete {
            object_guid: guid(CAROL_DELETED),
        },
        upsert(CROWD, user, "crowd"),
        upsert(STAFF, group, "staff"),
        upsert(1201, group, "allstaff"),
        upsert(1299, group, "others"),
        join(STAFF, 1104),
        join(1201, STAFF),
    ];
    for rid in FIRST_GROUP..FIRST_GROUP + GROUPS {
        changes.push(upsert(rid, group, &format!("g{rid}")));
        changes.push(join(rid, CROWD));
    }
    apply(service, world, changes).await;
}

/// Opens a reply as the client and the service would.
fn opened(world: &TwoRealms, reply: Vec<u8>, fast: bool) -> Result<Granted, Box<KrbError>> {
    let event = Event {
        id: EventId([0; 16]),
        tenant: TenantId([0; 16]),
        at: 0,
        outcome: crossrealm_kdc::Outcome::Issued,
        client: None,
        client_sid: None,
        service: None,
        issuer: None,
        trust_key_version: None,
        ticket_etype: None,
        kvno: None,
        ends_at: None,
        detail: String::new(),
    };
    world
        .open(Ending::Reply(reply, event), fast)
        .map_err(|refused| Box::new(refused.0))
}

/// A ticket for alice: her SIDs and groups of the directory and no others, within every bound.
fn is_alices(name: &str, world: &TwoRealms, reply: Vec<u8>) {
    let granted = opened(world, reply, false).unwrap_or_else(|error| panic!("{name}: {error:?}"));
    let elements = granted.inside.authorization_data.as_ref().unwrap();
    assert_eq!(elements.len(), 1, "{name}");
    let inner: Vec<AuthorizationDataElement> = decode(&elements[0].data).unwrap();
    assert_eq!(inner.len(), 1, "{name}");
    let pac = Pac::decode(&inner[0].data).unwrap();
    let mut rids: Vec<String> = pac
        .logon_info()
        .unwrap()
        .token_sids()
        .iter()
        .map(ToString::to_string)
        .collect();
    rids.dedup();
    let domain = &world.trust.domains[0].sid;
    let wanted = ["1104", "513", "1200", "1201"].map(|rid| format!("{domain}-{rid}"));
    assert_eq!(rids, wanted, "{name}");
    let never = flags::OK_AS_DELEGATE
        | flags::POSTDATED
        | flags::MAY_POSTDATE
        | flags::PROXY
        | flags::FORWARDED;
    assert_eq!(granted.inside.flags.0 & never, 0, "{name}");
    assert!(granted.inside.endtime.0 <= now().unix_s + 36_000, "{name}");
    assert_eq!(
        granted.inside.cname.components[0].as_str(),
        "alice",
        "{name}"
    );
}

/// The reason and the event's id of a refusal's text: `… [reason, event id]`.
fn told(error: &KrbError) -> (String, String) {
    let text = error.e_text.as_ref().unwrap().as_str();
    let (_, inside) = text.trim_end_matches(']').rsplit_once('[').unwrap();
    let (reason, id) = inside.split_once(", event ").unwrap();
    (reason.into(), id.into())
}

/// The tenant with everybody in it; `world` opens what its storage account's key sealed.
async fn prepared(service: &Service) -> TwoRealms {
    let mut world = world(service).await;
    people(service, &world).await;
    let keytab = service
        .admin
        .storage_account_keytab("contoso", "acct1")
        .await
        .unwrap();
    let entry = Keytab::from_bytes(keytab.keytab.expose()).unwrap().entries[0].clone();
    world.service.keys = vec![ServiceKey {
        kvno: entry.kvno,
        key: entry.key,
    }];
    world
}

#[tokio::test]
async fn every_forgery_is_refused_for_its_own_reason_and_honest_requests_are_served_after_it() {
    let service = Service::start().await;
    let mut world = prepared(&service).await;
    let (mut expected, mut wrong) = (Vec::new(), Vec::new());
    for (name, code, reason, make) in [PAC, CLIENT, TICKET, REQUEST].concat() {
        let message = make(&mut world);
        let reply = ask(&service, "contoso.cloud.example", &message).await;
        let error: KrbError =
            decode(&reply).unwrap_or_else(|_| panic!("{name}: a ticket was issued"));
        let (said, id) = told(&error);
        if (error.error_code, said.as_str()) != (code, reason) {
            wrong.push(format!("{name}: {} {said}", error.error_code));
        }
        expected.push((name, reason, id));
        let honest = forged(&mut world, |_, _| {});
        let reply = ask(&service, "contoso.cloud.example", &honest).await;
        is_alices(&format!("after {name}"), &world, reply);
    }
    assert_eq!(wrong, [""; 0]);
    for (name, make) in HARMLESS {
        let message = make(&mut world);
        let reply = ask(&service, "contoso.cloud.example", &message).await;
        is_alices(name, &world, reply);
    }
    has_events(&service, expected).await;
}

/// Waits for the event of each refusal, which must say the same.
async fn has_events(service: &Service, expected: Vec<(&str, &str, String)>) {
    let query = EventQuery {
        limit: Some(1000),
        ..EventQuery::default()
    };
    let deadline = Instant::now() + Duration::from_secs(30);
    loop {
        let events = service.admin.events("contoso", &query).await.unwrap();
        let missing: Vec<_> = expected
            .iter()
            .filter(|(_, reason, id)| {
                !events.iter().any(|event| {
                    let same = event.id.as_ref() == Some(id) && event.reason == *reason;
                    same && event.outcome == Outcome::Refused && event.action == "ticket.issue"
                })
            })
            .collect();
        if missing.is_empty() {
            return;
        }
        assert!(Instant::now() < deadline, "no event: {missing:?}");
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}

#[tokio::test]
async fn a_referral_for_one_tenant_is_worth_nothing_at_another_with_the_same_ad() {
    let service = Service::start().await;
    let mut world = prepared(&service).await;
    let second = TenantCreate {
        name: "second".into(),
        ..TenantCreate::default()
    };
    service.admin.create_tenant(&second).await.unwrap();
    let prepare = crossrealm_api::PrepareTrust {
        realm: "CORP.CONTOSO.COM".into(),
        flat_name: "CORP".into(),
        sid: world.trust.domains[0].sid.to_string(),
        top_level_names: vec![],
        rotate: false,
    };
    service
        .admin
        .prepare_trust("second", DOMAIN, &prepare)
        .await
        .unwrap();
    let realm = "KERBEROS.SECOND.CLOUD.EXAMPLE";
    let send = async |message: &[u8]| {
        let body = kkdcp::wrap_request(message, realm).unwrap();
        let answer = service.post("second.cloud.example", &body).await;
        assert_eq!(answer.status, 200);
        let error: KrbError = decode(&kkdcp::open_reply(&answer.body).unwrap()).unwrap();
        (error.error_code, told(&error).0)
    };
    // As it is, then relabelled so that its label fits the other tenant: the key does not.
    let message = forged(&mut world, |_, a| a.body.realm = realm.into());
    assert_eq!(send(&message).await, (35, "ticket-not-for-us".into()));
    let message = forged(&mut world, |r, a| {
        a.body.realm = realm.into();
        r.sname = PrincipalName::krbtgt(realm);
    });
    assert_eq!(send(&message).await, (31, "ticket-integrity".into()));
    let honest = forged(&mut world, |_, _| {});
    let reply = ask(&service, "contoso.cloud.example", &honest).await;
    is_alices("afterwards", &world, reply);
}

#[tokio::test]
async fn built_in_accounts_get_tickets_only_where_the_tenant_says_so() {
    let service = Service::start().await;
    let mut world = prepared(&service).await;
    let shown = service.admin.tenant("contoso").await.unwrap();
    assert!(!shown.allow_low_rids);
    let sid = world.trust.domains[0].sid.clone();
    let upsert = IdentityChange::Upsert {
        identity: identity(ADMINISTRATOR, IdentityKind::User, "Administrator", &sid),
    };
    // Without the opt-in neither the directory nor the KDC takes it.
    let changes = ApplyIdentities {
        run_id: "99999999-9999-9999-9999-999999999998".into(),
        domain: SyncDomain {
            dns_name: DOMAIN.into(),
            flat_name: "CORP".into(),
            sid: sid.to_string(),
        },
        changes: vec![upsert.clone()],
        last: true,
        ..ApplyIdentities::default()
    };
    let result = service
        .admin
        .apply_identities("contoso", DOMAIN, &changes)
        .await
        .unwrap();
    assert_eq!(result.refused.len(), 1);
    let message = of_user(&mut world, ADMINISTRATOR, "Administrator");
    let reply = ask(&service, "contoso.cloud.example", &message).await;
    let error: KrbError = decode(&reply).unwrap();
    assert_eq!(
        (error.error_code, told(&error).0.as_str()),
        (12, "sid-reserved")
    );

    let policy = |allowed| TenantPolicy {
        allow_low_rids: Some(allowed),
    };
    let tenant = service
        .admin
        .set_tenant_policy("contoso", &policy(true))
        .await
        .unwrap();
    assert!(tenant.allow_low_rids);
    apply(&service, &world, vec![upsert]).await;
    let granted = granted_within(&service, &mut world, Duration::from_secs(10)).await;
    assert_eq!(granted.inside.cname.components[0].as_str(), "Administrator");

    // The opt-in can be taken back, and then counts no more.
    service
        .admin
        .set_tenant_policy("contoso", &policy(false))
        .await
        .unwrap();
    let deadline = Instant::now() + Duration::from_secs(10);
    loop {
        let message = of_user(&mut world, ADMINISTRATOR, "Administrator");
        let reply = ask(&service, "contoso.cloud.example", &message).await;
        if let Ok(error) = decode::<KrbError>(&reply) {
            assert_eq!(told(&error).0, "sid-reserved");
            break;
        }
        assert!(Instant::now() < deadline, "still granted");
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    let wanted = TenantCreate {
        name: "lenient".into(),
        allow_low_rids: true,
        ..TenantCreate::default()
    };
    assert!(
        service
            .admin
            .create_tenant(&wanted)
            .await
            .unwrap()
            .allow_low_rids
    );
}

async fn granted_within(service: &Service, world: &mut TwoRealms, patience: Duration) -> Granted {
    let deadline = Instant::now() + patience;
    loop {
        let message = of_user(world, ADMINISTRATOR, "Administrator");
        let reply = ask(service, "contoso.cloud.example", &message).await;
        match opened(world, reply, false) {
            Ok(granted) => return granted,
            Err(error) => assert!(Instant::now() < deadline, "{error:?}"),
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}
