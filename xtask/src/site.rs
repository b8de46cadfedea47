//! The documentation as a site: plain HTML from the Markdown in `docs`, without a script and without anything from elsewhere, so that
//! it can be read on a machine without the Internet.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use pulldown_cmark::{CowStr, Event, HeadingLevel, Options, Parser, Tag, TagEnd, html};

use crate::tidy::links::{normal, section_name};
use crate::{Outcome, process};

/// The first page; the pages that it names are the navigation, in its order.
const INDEX: &str = "docs/README.md";
/// Folders of `docs` that are not for operators.
const LEFT_OUT: [&str; 1] = ["docs/contributing"];
/// Pages beside `docs`.
const BESIDE: [&str; 2] = ["CHANGELOG.md", "SECURITY.md"];
const STYLE: &str = include_str!("site.css");

/// Writes the site into this folder, which is created.
pub(crate) fn write(to: &Path) -> Outcome {
    for (path, content) in pages(&process::root())? {
        let file = to.join(path);
        let written = file
            .parent()
            .map_or(Ok(()), std::fs::create_dir_all)
            .and_then(|()| std::fs::write(&file, content));
        written.map_err(|error| format!("cannot write `{}`: {error}", file.display()))?;
    }
    Ok(())
}

/// The files of the site, by their paths in it.
pub(crate) fn pages(root: &Path) -> Result<BTreeMap<PathBuf, String>, String> {
    let mut sources = BTreeMap::new();
    collect(root, Path::new("docs"), &mut sources)?;
    for page in BESIDE {
        sources.insert(PathBuf::from(page), read(&root.join(page))?);
    }
    let site = Site { sources };
    let mut files = BTreeMap::from([(PathBuf::from("style.css"), STYLE.to_owned())]);
    for (source, text) in &site.sources {
        match source.extension().is_some_and(|e| e == "md") {
            true => files.insert(place(source), site.page(source, text)),
            false => files.insert(place(source), text.clone()),
        };
    }
    Ok(files)
}

fn collect(root: &Path, folder: &Path, to: &mut BTreeMap<PathBuf, String>) -> Outcome {
    let failed = |error| format!("cannot read `{}`: {error}", folder.display());
    for entry in std::fs::read_dir(root.join(folder)).map_err(failed)? {
        let path = folder.join(entry.map_err(failed)?.file_name());
        if LEFT_OUT.iter().any(|left_out| path == Path::new(left_out)) {
            continue;
        }
        match root.join(&path).is_dir() {
            true => collect(root, &path, to)?,
            false => drop(to.insert(path.clone(), read(&root.join(&path))?)),
        }
    }
    Ok(())
}

fn read(path: &Path) -> Result<String, String> {
    std::fs::read_to_string(path)
        .map_err(|error| format!("cannot read `{}`: {error}", path.display()))
}

/// Where a file of the repository is in the site.
fn place(source: &Path) -> PathBuf {
    let inside = source.strip_prefix("docs").unwrap_or(source);
    match inside.file_name().and_then(|name| name.to_str()) {
        Some("README.md") => inside.with_file_name("index.html"),
        Some(name) if name.ends_with(".md") => inside.with_extension("html"),
        _ => inside.to_owned(),
    }
}

struct Site {
    sources: BTreeMap<PathBuf, String>,
}

impl Site {
    fn page(&self, source: &Path, markdown: &str) -> String {
        let own = place(source);
        let up = "../".repeat(own.components().count() - 1);
        let title = title(markdown);
        let title = escape(&title);
        let navigation = self.navigation(&own);
        let body = self.body(source, markdown);
        format!(
            "<!doctype html>\n<html lang=\"en\">\n<meta charset=\"utf-8\">\n\
             <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n\
             <title>{title} · Crossrealm</title>\n<link rel=\"stylesheet\" href=\"{up}style.css\">\n\
             <a class=\"skip\" href=\"#main\">To the content</a>\n\
             <nav aria-label=\"Documentation\">\n{navigation}</nav>\n<main id=\"main\">\n{body}</main>\n</html>\n"
        )
    }

    /// The pages that the first page names, as links from this page.
    fn navigation(&self, own: &Path) -> String {
        let index = self
            .sources
            .get(Path::new(INDEX))
            .map_or("", String::as_str);
        let mut list = format!(
            "<p><a href=\"{}\">Crossrealm</a></p>\n<ul>\n",
            relative(own, Path::new("index.html"))
        );
        let mut target = None;
        let mut text = String::new();
        for event in Parser::new_ext(index, options()) {
            match event {
                Event::Start(Tag::Link { dest_url, .. }) => {
                    let path = normal(&Path::new("docs").join(&*dest_url));
                    target = self.sources.contains_key(&path).then(|| place(&path));
                    text.clear();
                }
                Event::Text(part) | Event::Code(part) => text.push_str(&part),
                Event::End(TagEnd::Link) => {
                    if let Some(target) = target.take() {
                        let current = if target == own {
                            " aria-current=\"page\""
                        } else {
                            ""
                        };
                        let (href, text) = (relative(own, &target), escape(&text));
                        let _ = writeln!(list, "<li><a href=\"{href}\"{current}>{text}</a></li>");
                    }
                }
                _ => {}
            }
        }
        list + "</ul>\n"
    }

    fn body(&self, source: &Path, markdown: &str) -> String {
        let mut events: Vec<Event<'_>> = Vec::new();
        // Links that lead out of the site keep their text.
        let mut dropped = Vec::new();
        let mut heading: Option<(usize, String)> = None;
        for event in Parser::new_ext(markdown, options()) {
            match event {
                Event::Start(Tag::Link {
                    link_type,
                    dest_url,
                    title,
                    id,
                }) => {
                    let target = self.target(source, &dest_url);
                    dropped.push(target.is_none());
                    if let Some(target) = target {
                        let dest_url = CowStr::from(target);
                        events.push(Event::Start(Tag::Link {
                            link_type,
                            dest_url,
                            title,
                            id,
                        }));
                    }
                }
                Event::End(TagEnd::Link) => {
                    if dropped.pop() == Some(false) {
                        events.push(Event::End(TagEnd::Link));
                    }
                }
                Event::Start(Tag::Heading { .. }) => {
                    heading = Some((events.len(), String::new()));
                    events.push(event);
                }
                Event::End(TagEnd::Heading(level)) => {
                    if let Some((at, text)) = heading.take() {
                        events[at] = named_heading(level, &text);
                    }
                    events.push(event);
                }
                event => {
                    if let (Some((_, text)), Event::Text(part) | Event::Code(part)) =
                        (&mut heading, &event)
                    {
                        text.push_str(part);
                    }
                    events.push(event);
                }
            }
        }
        let mut body = String::new();
        html::push_html(&mut body, events.into_iter());
        // Wide tables scroll by themselves.
        body.replace("<table>", "<div class=\"scroll\"><table>")
            .replace("</table>", "</table></div>")
    }

    /// Where a link of this page leads in the site; `None` for files of the repository that the site does not hold.
    fn target(&self, source: &Path, link: &str) -> Option<String> {
        if link.contains("://") || link.starts_with('#') || link.starts_with("mailto:") {
            return Some(link.to_owned());
        }
        let (path, section) = link.split_once('#').unwrap_or((link, ""));
        let folder = source.parent().unwrap_or(Path::new(""));
        let to = normal(&folder.join(path));
        self.sources.get(&to)?;
        let mut target = relative(&place(source), &place(&to));
        if !section.is_empty() {
            let _ = write!(target, "#{section}");
        }
        Some(target)
    }
}

fn named_heading(level: HeadingLevel, text: &str) -> Event<'static> {
    Event::Start(Tag::Heading {
        level,
        id: Some(CowStr::from(section_name(text))),
        classes: Vec::new(),
        attrs: Vec::new(),
    })
}

fn options() -> Options {
    Options::ENABLE_TABLES | Options::ENABLE_STRIKETHROUGH
}

/// The text of the first heading.
fn title(markdown: &str) -> String {
    let line = markdown.lines().find_map(|line| line.strip_prefix("# "));
    line.unwrap_or("Documentation").replace('`', "")
}

/// The way from a page to a file, both in the site.
fn relative(from: &Path, to: &Path) -> String {
    let depth = from.components().count() - 1;
    let way = "../".repeat(depth);
    format!("{way}{}", to.display())
}

fn escape(text: &str) -> String {
    text.replace('&', "&amp;")
        .replace('<', "&lt;")
        .replace('>', "&gt;")
        .replace('"', "&quot;")
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    /// The values of an attribute in a page.
    fn values<'a>(page: &'a str, attribute: &str) -> Vec<&'a str> {
        let begin = format!("{attribute}=\"");
        page.split(&begin)
            .skip(1)
            .filter_map(|rest| rest.split('"').next())
            .collect()
    }

    #[test]
    fn every_link_of_the_site_leads_to_a_page_and_a_section() {
        let pages = pages(&process::root()).unwrap();
        assert!(pages.len() > 20 && pages.contains_key(Path::new("index.html")));
        let sections = |page: &str| {
            values(page, "id")
                .into_iter()
                .map(str::to_owned)
                .collect::<BTreeSet<_>>()
        };
        let mut links = 0;
        for (path, page) in pages
            .iter()
            .filter(|(path, _)| path.extension().is_some_and(|e| e == "html"))
        {
            for link in values(page, "href")
                .into_iter()
                .filter(|link| !link.contains("://"))
            {
                let (file, section) = link.split_once('#').unwrap_or((link, ""));
                let to = match file {
                    "" => path.clone(),
                    file => normal(&path.parent().unwrap().join(file)),
                };
                let target = pages
                    .get(&to)
                    .unwrap_or_else(|| panic!("{}: {link}", path.display()));
                let there = section.is_empty() || sections(target).contains(section);
                assert!(there, "{}: {link}", path.display());
                links += 1;
            }
        }
        assert!(links > 500, "{links}");
    }

    #[test]
    fn pages_load_nothing_from_elsewhere() {
        for (path, page) in pages(&process::root()).unwrap() {
            if path.extension().is_some_and(|e| e == "html" || e == "css") {
                for word in ["<script", "<img", "<iframe", "@import", "url(", "src=\""] {
                    assert!(!page.contains(word), "{}: {word}", path.display());
                }
                let sheets = page.matches("rel=\"stylesheet\"").count();
                assert_eq!(sheets, usize::from(path.extension().unwrap() == "html"));
            }
        }
    }

    #[test]
    fn links_out_of_the_site_keep_their_text_alone() {
        let sources = BTreeMap::from([
            (
                PathBuf::from("docs/README.md"),
                "# D\n\n[A](guide/a.md)\n".to_owned(),
            ),
            (
                PathBuf::from(concat!("docs", "/guide/a.md")),
                "# A `b`\n\n[code](../../crates/x.rs) [D](../README.md#d) <x>\n".to_owned(),
            ),
        ]);
        let site = Site { sources };
        let page = site.page(
            Path::new(concat!("docs", "/guide/a.md")),
            &site.sources[Path::new(concat!("docs", "/guide/a.md"))],
        );
        assert!(
            page.contains("<h1 id=\"a-b\">A <code>b</code></h1>"),
            "{page}"
        );
        assert!(
            page.contains("<p>code <a href=\"../index.html#d\">D</a>"),
            "{page}"
        );
        assert!(page.contains("<title>A b · Crossrealm</title>"), "{page}");
        assert!(
            page.contains("<li><a href=\"../guide/a.html\" aria-current=\"page\">A</a></li>"),
            "{page}"
        );
    }
}
