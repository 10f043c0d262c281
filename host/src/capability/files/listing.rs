//! The names in a folder, handed over one by one and read some at a time, so that a folder with a
//! million of them costs no more memory than a small one.

use std::collections::VecDeque;

use tokio::sync::OwnedSemaphorePermit;
use wasmtime::component::{Resource, ResourceTable};
use wasmtime_wasi::{
    filesystem::{Descriptor, Dir},
    p2::{
        FsError, FsResult,
        bindings::filesystem::types::{DescriptorType, DirectoryEntry, DirectoryEntryStream, HostDirectoryEntryStream},
    },
};

use super::{FilesCtx, Jobs};
use backend::folder::{Kind, Names};

/// Names that are read in one job.
const NAMES_AT_ONCE: usize = 128;

/// It stands in the table in the place of wasmtime's own stream, whose handles are these.
pub(super) struct Listing {
    /// Away while a job reads from it.
    names: Option<Names>,
    read: VecDeque<(String, Kind)>,
    dir: Dir,
    _place: OwnedSemaphorePermit,
}

impl Listing {
    pub(super) async fn of(jobs: &Jobs, dir: Dir, place: OwnedSemaphorePermit) -> FsResult<Self> {
        let handle = dir.dir.clone();
        let names = jobs.clone().run([], move |_view, []| Ok(Names::of(&*handle)?)).await?;
        Ok(Self { names: Some(names), read: VecDeque::new(), dir, _place: place })
    }

    pub(super) fn handle(self, table: &mut ResourceTable) -> wasmtime::Result<Resource<DirectoryEntryStream>> {
        Ok(Resource::new_own(table.push(self)?.rep()))
    }
}

fn ours(stream: &Resource<DirectoryEntryStream>) -> Resource<Listing> {
    Resource::new_borrow(stream.rep())
}

impl HostDirectoryEntryStream for FilesCtx<'_> {
    async fn read_directory_entry(
        &mut self,
        stream: Resource<DirectoryEntryStream>,
    ) -> FsResult<Option<DirectoryEntry>> {
        let jobs = self.jobs();
        let listing = self.table.get_mut(&ours(&stream)).map_err(FsError::trap)?;
        if listing.read.is_empty()
            && let Some(mut names) = listing.names.take()
        {
            let folder = Descriptor::Dir(listing.dir.clone());
            let reading = jobs.run([folder], move |_view, _| {
                let read = names.next(NAMES_AT_ONCE)?;
                Ok((names, read))
            });
            let (names, read) = reading.await?;
            (listing.names, listing.read) = (Some(names).filter(|_| !read.is_empty()), read.into());
        }
        Ok(listing.read.pop_front().map(|(name, kind)| DirectoryEntry { type_: kind_of(kind), name }))
    }

    fn drop(&mut self, stream: Resource<DirectoryEntryStream>) -> wasmtime::Result<()> {
        self.table.delete(Resource::<Listing>::new_own(stream.rep()))?;
        Ok(())
    }
}

fn kind_of(kind: Kind) -> DescriptorType {
    match kind {
        Kind::Plain => DescriptorType::RegularFile,
        Kind::Folder => DescriptorType::Directory,
        Kind::Link => DescriptorType::SymbolicLink,
        Kind::Other => DescriptorType::Unknown,
    }
}
