//! The macro that turns declarations into types, [`super::ENDPOINTS`] and the methods of [`crate::Client`].

/// Declares endpoints:
///
/// ```text
/// /// What it does.
/// Name ACCESS METHOD "/path/{parameter}"
///     fn operation(parameter; query: Query; body: Body, 8 KiB) -> 201 Response;
/// ```
///
/// A body has at most [`super::MAX_BODY`] bytes where no other size is given.
///
/// `fn` answers with the response itself. `list` answers with all of a list in one [`crate::Page`], `pages` with one page
/// of it by [`crate::PageQuery`]; the client's method returns the whole list for both. `raw` has no generated method of the
/// client. The status is 200 where none is given; `| 304` names another one that is no refusal.
macro_rules! endpoints {
    ($(
        $(#[doc = $doc:literal])+
        $Name:ident $access:ident $method:ident $path:literal
            $how:tt $operation:ident($($parameter:ident),* $(; query: $Query:ty)? $(; body: $Body:ty $(, $kib:literal KiB)?)?)
            -> $($status:literal)? $Response:ty $(| $other:literal)?;
    )+) => {
        $(
            $(#[doc = $doc])+
            pub struct $Name;

            impl Endpoint for $Name {
                type Path = [String; <[&str]>::len(&[$(stringify!($parameter)),*])];
                type Query = query_type!($how $($Query)?);
                type Body = given_type!($($Body)?);
                type Response = response_type!($how $Response);
                const SPEC: &Spec = &Spec {
                    name: stringify!($operation),
                    method: Method::$method,
                    path: $path,
                    parameters: &[$(stringify!($parameter)),*],
                    access: access::$access,
                    status: given_or!(200 $($status)?),
                    other_status: given_option!($($other)?),
                    doc: concat!($($doc, "\n"),+),
                    query: query_schema!($how $($Query)?),
                    body: given_option!($(schema_of::<$Body>)?),
                    max_body: max_body!($($Body $(, $kib)?)?),
                    response: schema_of::<<$Name as Endpoint>::Response>,
                };
            }
        )+

        /// Every endpoint, in the order of the document.
        pub const ENDPOINTS: &[&Spec] = &[$(<$Name as Endpoint>::SPEC),+];

        impl Client {
            $(client_method! {
                $how $(#[doc = $doc])+ $Name $operation($($parameter),* $(; query: $Query)? $(; body: $Body)?) -> $Response
            })+
        }

        /// Passes the type and the operation's name of every endpoint to a macro, as `Name operation, …`.
        #[macro_export]
        macro_rules! for_each_endpoint {
            ($callback:ident) => {
                $callback! { $($Name $operation,)+ }
            };
        }
    };
}

macro_rules! response_type {
    (list $Item:ty) => { Page<$Item> };
    (pages $Item:ty) => { Page<$Item> };
    ($how:tt $Response:ty) => { $Response };
}

macro_rules! query_type {
    (pages) => {
        PageQuery
    };
    ($how:tt) => {
        ()
    };
    ($how:tt $Query:ty) => {
        $Query
    };
}

macro_rules! query_schema {
    (pages) => {
        Some(schema_of::<PageQuery>)
    };
    ($how:tt) => {
        None
    };
    ($how:tt $Query:ty) => {
        Some(schema_of::<$Query>)
    };
}

macro_rules! given_type {
    () => {
        ()
    };
    ($Given:ty) => {
        $Given
    };
}

macro_rules! max_body {
    () => {
        0
    };
    ($Body:ty) => {
        MAX_BODY
    };
    ($Body:ty, $kib:literal) => {
        $kib * 1024
    };
}

macro_rules! given_or {
    ($default:literal) => {
        $default
    };
    ($default:literal $given:literal) => {
        $given
    };
}

macro_rules! given_option {
    () => {
        None
    };
    ($given:expr) => {
        Some($given)
    };
}

macro_rules! client_method {
    (raw $($rest:tt)*) => {};
    (fn $(#[doc = $doc:literal])+ $Name:ident $operation:ident($($parameter:ident),* $(; query: $Query:ty)? $(; body: $Body:ty)?) -> $Response:ty) => {
        $(#[doc = $doc])+
        pub async fn $operation(&self, $($parameter: &str,)* $(query: &$Query,)? $(body: &$Body)?) -> Result<$Response, ClientError> {
            self.call::<$Name>(&[$($parameter),*])
                $(.query::<$Query>(query)?)?
                $(.json::<$Body>(body)?)?
                .fetch()
                .await
        }
    };
    ($list:ident $(#[doc = $doc:literal])+ $Name:ident $operation:ident($($parameter:ident),* $(; query: $Query:ty)?) -> $Item:ty) => {
        $(#[doc = $doc])+
        pub async fn $operation(&self, $($parameter: &str,)* $(query: &$Query)?) -> Result<Vec<$Item>, ClientError> {
            self.call::<$Name>(&[$($parameter),*])
                $(.query::<$Query>(query)?)?
                .fetch_all()
                .await
        }
    };
}
