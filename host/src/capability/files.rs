//! `wasi:filesystem`: the folders that a service is granted, and nothing beside them.
//!
//! Decides how much of the machine a guest's files may take. Every operation is a job on a thread of
//! its own that holds one of its build's places until it has really ended, also when nobody waits for
//! it any more; every open file holds another. What is no file and no folder is not opened: a pipe
//! would hold its thread for ever. How a path is followed inside of a folder, so that neither `..`
//! nor a link leads out, is wasmtime's business; it does that in the kernel (`RESOLVE_BENEATH`).

mod descriptor;
mod listing;
mod stream;

use std::sync::{
    Arc,
    atomic::{AtomicBool, Ordering::Relaxed},
};

use futures_util::FutureExt;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use wasmtime::component::{HasData, Linker, Resource, ResourceTable};
use wasmtime_wasi::{
    FsPerms, OpenMode, WasiCtx,
    filesystem::{Descriptor, Dir, WasiFilesystemCtx, WasiFilesystemCtxView},
    p2::{
        FsError, FsResult,
        bindings::filesystem::{
            preopens,
            types::{self, ErrorCode},
        },
    },
};

use super::asking::Asking;
use backend::folder::OpenFolder;
use grant::{Grants, permission::folder};

/// Operations of one build at once; each has a thread.
const JOBS_MAX: usize = 8;
/// Files and folders that all instances of one build have open.
const OPEN_MAX: usize = 256;

/// The folders of one build.
pub struct Folders {
    grants: Arc<Grants>,
    /// Each with its name in the component.
    granted: Vec<(Dir, Arc<str>)>,
    jobs: Jobs,
    open: Arc<Semaphore>,
    /// That it sees none is told once; it is also true where there is nothing to tell.
    told: AtomicBool,
}

/// What an instance holds to reach its files.
pub struct FilesView {
    folders: Arc<Folders>,
    asking: Arc<Asking>,
}

/// The view during one host call.
pub struct FilesCtx<'a> {
    view: &'a FilesView,
    table: &'a mut ResourceTable,
}

/// What a store must hold for its guest to reach files.
pub trait FolderView: Send + 'static {
    fn files(&mut self) -> FilesCtx<'_>;
}

struct HasFiles;

impl HasData for HasFiles {
    type Data<'a> = FilesCtx<'a>;
}

pub fn add_to_linker<T: FolderView>(linker: &mut Linker<T>) -> wasmtime::Result<()> {
    types::add_to_linker::<_, HasFiles>(linker, T::files)?;
    preopens::add_to_linker::<_, HasFiles>(linker, T::files)
}

impl Folders {
    /// `opens` is whether the component can come from a folder to a file. What adapts WASI 0.1 to its components asks
    /// for the folders when the first line is printed, also where it cannot: no reason to speak of a permission.
    pub fn new(grants: Arc<Grants>, folders: Vec<OpenFolder>, opens: bool) -> Self {
        let granted = folders.into_iter().map(|folder| {
            let (perms, mode) = match folder.writable {
                true => (FsPerms::ReadWrite, OpenMode::READ | OpenMode::WRITE),
                false => (FsPerms::ReadOnly, OpenMode::READ),
            };
            (Dir::new(folder.handle, perms, mode, true), folder.guest.into())
        });
        let (granted, open) = (granted.collect(), Arc::new(Semaphore::new(OPEN_MAX)));
        Self { grants, granted, jobs: Jobs::new(), open, told: AtomicBool::new(!opens) }
    }
}

impl FilesView {
    pub fn new(folders: Arc<Folders>, asking: Arc<Asking>) -> Self {
        Self { folders, asking }
    }

    pub fn with<'a>(&'a self, table: &'a mut ResourceTable) -> FilesCtx<'a> {
        FilesCtx { view: self, table }
    }
}

/// An open file or folder. It stands in the table in the place of wasmtime's own [`Descriptor`], whose
/// handles are these.
struct Open {
    descriptor: Descriptor,
    /// Which of the granted folders it is in.
    folder: Arc<str>,
    writable: bool,
    /// None: a granted folder itself, which is open anyway.
    _place: Option<OwnedSemaphorePermit>,
}

impl preopens::Host for FilesCtx<'_> {
    fn get_directories(&mut self) -> wasmtime::Result<Vec<(Resource<Descriptor>, String)>> {
        let folders = &self.view.folders;
        if folders.granted.is_empty() && !folders.told.swap(true, Relaxed) {
            self.view.asking.tell::<folder::Read>(&folders.grants.no_folder());
        }
        let mut all = Vec::with_capacity(folders.granted.len());
        for (dir, guest) in &folders.granted {
            let (descriptor, writable) = (Descriptor::Dir(dir.clone()), dir.perms == FsPerms::ReadWrite);
            let open = Open { descriptor, folder: guest.clone(), writable, _place: None };
            all.push((theirs(&self.table.push(open)?), guest.to_string()));
        }
        Ok(all)
    }
}

impl FilesCtx<'_> {
    fn open(&self, handle: &Resource<Descriptor>) -> wasmtime::Result<&Open> {
        Ok(self.table.get(&ours(handle))?)
    }

    /// What is open, where it may be changed.
    fn changing(&self, handle: &Resource<Descriptor>) -> FsResult<&Open> {
        let open = self.open(handle).map_err(FsError::trap)?;
        if !open.writable {
            let denial = self.view.folders.grants.no_changing(&open.folder);
            self.view.asking.tell::<folder::Write>(&denial);
            return Err(ErrorCode::NotPermitted.into());
        }
        Ok(open)
    }

    fn place(&self) -> FsResult<OwnedSemaphorePermit> {
        self.view.folders.open.clone().try_acquire_owned().map_err(|_full| ErrorCode::Quota.into())
    }

    fn jobs(&self) -> Jobs {
        self.view.folders.jobs.clone()
    }
}

fn ours(handle: &Resource<Descriptor>) -> Resource<Open> {
    Resource::new_borrow(handle.rep())
}

fn theirs(handle: &Resource<Open>) -> Resource<Descriptor> {
    Resource::new_own(handle.rep())
}

/// The places of one build's file operations.
#[derive(Clone)]
struct Jobs {
    places: Arc<Semaphore>,
    /// Tells wasmtime to do its work where it is called.
    here: WasiFilesystemCtx,
}

impl Jobs {
    fn new() -> Self {
        let here = WasiCtx::builder().allow_blocking_current_thread(true).build().filesystem().clone();
        Self { places: Arc::new(Semaphore::new(JOBS_MAX)), here }
    }

    /// Does `work` on `descriptors` with wasmtime's own functions, on a thread that may block. Waits
    /// for a place as long as its caller does; not cancel safe: what has begun goes on.
    async fn run<const N: usize, R: Send + 'static>(
        self,
        descriptors: [Descriptor; N],
        work: impl FnOnce(&mut WasiFilesystemCtxView<'_>, [Resource<Descriptor>; N]) -> FsResult<R> + Send + 'static,
    ) -> FsResult<R> {
        let Self { places, here: mut ctx } = self;
        let failed = || FsError::from(ErrorCode::Io);
        let place = places.acquire_owned().await.map_err(|_closed| failed())?;
        let job = tokio::task::spawn_blocking(move || {
            let _until_it_ends = place;
            let mut table = ResourceTable::new();
            let mut handles = [const { None }; N];
            for (handle, descriptor) in handles.iter_mut().zip(descriptors) {
                *handle = Some(table.push(descriptor)?);
            }
            let handles = handles.map(|handle| handle.unwrap_or_else(|| Resource::new_own(u32::MAX)));
            work(&mut WasiFilesystemCtxView { ctx: &mut ctx, table: &mut table }, handles)
        });
        job.await.unwrap_or_else(|_panicked| Err(failed()))
    }
}

/// The outcome of one of wasmtime's functions, which never wait in a job.
fn now<T>(work: impl Future<Output = FsResult<T>>) -> FsResult<T> {
    work.now_or_never().unwrap_or_else(|| Err(ErrorCode::Io.into()))
}
