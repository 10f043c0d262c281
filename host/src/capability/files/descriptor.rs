//! What a guest does with an open file or folder: each function is a job ([`Jobs::run`]) that hands
//! on to wasmtime's own of the same name.

use wasmtime::component::Resource;
use wasmtime_wasi::{
    filesystem::{Descriptor, WasiFilesystemCtxView},
    p2::{
        DynInputStream, DynOutputStream, FsError, FsResult,
        bindings::filesystem::types::{
            self, Advice, DescriptorFlags, DescriptorStat, DescriptorType, DirectoryEntryStream, ErrorCode, Filesize,
            HostDescriptor, MetadataHashValue, NewTimestamp, OpenFlags, PathFlags,
        },
    },
};

use super::{
    FilesCtx, Open,
    listing::Listing,
    now, ours,
    stream::{FileReader, FileWriter},
    theirs,
};

impl types::Host for FilesCtx<'_> {
    fn convert_error_code(&mut self, error: FsError) -> wasmtime::Result<ErrorCode> {
        error.downcast()
    }

    fn filesystem_error_code(&mut self, error: Resource<wasmtime::Error>) -> wasmtime::Result<Option<ErrorCode>> {
        let error = self.table.get(&error)?;
        let of_stream = error.downcast_ref::<ErrorCode>().copied();
        Ok(of_stream.or_else(|| error.downcast_ref::<std::io::Error>().map(ErrorCode::from)))
    }
}

/// Functions that only look.
macro_rules! looking {
    ($($name:ident($($argument:ident: $kind:ty),*) -> $out:ty;)*) => { $(
        async fn $name(&mut self, fd: Resource<Descriptor> $(, $argument: $kind)*) -> FsResult<$out> {
            let descriptor = self.open(&fd).map_err(FsError::trap)?.descriptor.clone();
            self.jobs().run([descriptor], move |view, [fd]| now(view.$name(fd $(, $argument)*))).await
        }
    )* };
}

/// Functions that need a folder that is there to be written.
macro_rules! changing {
    ($($name:ident($($argument:ident: $kind:ty),*) -> $out:ty;)*) => { $(
        async fn $name(&mut self, fd: Resource<Descriptor> $(, $argument: $kind)*) -> FsResult<$out> {
            let descriptor = self.changing(&fd)?.descriptor.clone();
            self.jobs().run([descriptor], move |view, [fd]| now(view.$name(fd $(, $argument)*))).await
        }
    )* };
}

impl HostDescriptor for FilesCtx<'_> {
    looking! {
        advise(offset: Filesize, length: Filesize, advice: Advice) -> ();
        sync_data() -> ();
        sync() -> ();
        get_flags() -> DescriptorFlags;
        get_type() -> DescriptorType;
        read(length: Filesize, offset: Filesize) -> (Vec<u8>, bool);
        stat() -> DescriptorStat;
        stat_at(flags: PathFlags, path: String) -> DescriptorStat;
        readlink_at(path: String) -> String;
        metadata_hash() -> MetadataHashValue;
        metadata_hash_at(flags: PathFlags, path: String) -> MetadataHashValue;
    }

    changing! {
        set_size(size: Filesize) -> ();
        set_times(accessed: NewTimestamp, modified: NewTimestamp) -> ();
        set_times_at(flags: PathFlags, path: String, accessed: NewTimestamp, modified: NewTimestamp) -> ();
        write(bytes: Vec<u8>, offset: Filesize) -> Filesize;
        create_directory_at(path: String) -> ();
        remove_directory_at(path: String) -> ();
        symlink_at(from: String, to: String) -> ();
        unlink_file_at(path: String) -> ();
    }

    async fn open_at(
        &mut self,
        fd: Resource<Descriptor>,
        path_flags: PathFlags,
        path: String,
        open_flags: OpenFlags,
        flags: DescriptorFlags,
    ) -> FsResult<Resource<Descriptor>> {
        let is_change = open_flags.intersects(OpenFlags::CREATE | OpenFlags::TRUNCATE)
            || flags.intersects(DescriptorFlags::WRITE | DescriptorFlags::MUTATE_DIRECTORY);
        let open = match is_change && !open_flags.contains(OpenFlags::DIRECTORY) {
            true => self.changing(&fd)?,
            false => self.open(&fd).map_err(FsError::trap)?,
        };
        let (descriptor, folder, writable) = (open.descriptor.clone(), open.folder.clone(), open.writable);
        let place = self.place()?;
        let opened =
            self.jobs().run([descriptor], move |view, [fd]| opened(view, &fd, path_flags, path, open_flags, flags));
        let descriptor = opened.await?;
        let open = Open { descriptor, folder, writable, _place: Some(place) };
        Ok(theirs(&self.table.push(open)?))
    }

    async fn link_at(
        &mut self,
        fd: Resource<Descriptor>,
        flags: PathFlags,
        path: String,
        new: Resource<Descriptor>,
        new_path: String,
    ) -> FsResult<()> {
        let both = [self.changing(&fd)?.descriptor.clone(), self.changing(&new)?.descriptor.clone()];
        self.jobs().run(both, move |view, [fd, new]| now(view.link_at(fd, flags, path, new, new_path))).await
    }

    async fn rename_at(
        &mut self,
        fd: Resource<Descriptor>,
        path: String,
        new: Resource<Descriptor>,
        new_path: String,
    ) -> FsResult<()> {
        let both = [self.changing(&fd)?.descriptor.clone(), self.changing(&new)?.descriptor.clone()];
        self.jobs().run(both, move |view, [fd, new]| now(view.rename_at(fd, path, new, new_path))).await
    }

    async fn is_same_object(
        &mut self,
        one: Resource<Descriptor>,
        other: Resource<Descriptor>,
    ) -> wasmtime::Result<bool> {
        let both = [self.open(&one)?.descriptor.clone(), self.open(&other)?.descriptor.clone()];
        let same = self.jobs().run(both, move |view, [one, other]| {
            now(async { view.is_same_object(one, other).await.map_err(FsError::trap) })
        });
        Ok(same.await.unwrap_or(false))
    }

    async fn read_directory(&mut self, fd: Resource<Descriptor>) -> FsResult<Resource<DirectoryEntryStream>> {
        let Descriptor::Dir(dir) = &self.open(&fd).map_err(FsError::trap)?.descriptor else {
            return Err(ErrorCode::NotDirectory.into());
        };
        let (dir, place) = (dir.clone(), self.place()?);
        let listing = Listing::of(&self.jobs(), dir, place).await?;
        listing.handle(self.table).map_err(FsError::trap)
    }

    fn read_via_stream(&mut self, fd: Resource<Descriptor>, offset: Filesize) -> FsResult<Resource<DynInputStream>> {
        let descriptor = self.open(&fd).map_err(FsError::trap)?.descriptor.clone();
        if matches!(descriptor, Descriptor::Dir(_)) {
            return Err(ErrorCode::IsDirectory.into());
        }
        let reader: DynInputStream = Box::new(FileReader::new(self.jobs(), descriptor, offset));
        Ok(self.table.push(reader)?)
    }

    fn write_via_stream(&mut self, fd: Resource<Descriptor>, offset: Filesize) -> FsResult<Resource<DynOutputStream>> {
        self.writer(&fd, Some(offset))
    }

    fn append_via_stream(&mut self, fd: Resource<Descriptor>) -> FsResult<Resource<DynOutputStream>> {
        self.writer(&fd, None)
    }

    fn drop(&mut self, fd: Resource<Descriptor>) -> wasmtime::Result<()> {
        self.table.delete(Resource::<Open>::new_own(ours(&fd).rep()))?;
        Ok(())
    }
}

impl FilesCtx<'_> {
    /// At its end where there is no offset.
    fn writer(&mut self, fd: &Resource<Descriptor>, offset: Option<Filesize>) -> FsResult<Resource<DynOutputStream>> {
        let descriptor = self.changing(fd)?.descriptor.clone();
        if matches!(descriptor, Descriptor::Dir(_)) {
            return Err(ErrorCode::BadDescriptor.into());
        }
        let writer: DynOutputStream = Box::new(FileWriter::new(self.jobs(), descriptor, offset));
        Ok(self.table.push(writer)?)
    }
}

/// Only files and folders: opening a pipe waits for its other end, opening a device does something.
fn opened(
    view: &mut WasiFilesystemCtxView<'_>,
    folder: &Resource<Descriptor>,
    path_flags: PathFlags,
    path: String,
    open_flags: OpenFlags,
    flags: DescriptorFlags,
) -> FsResult<Descriptor> {
    let again = || Resource::new_borrow(folder.rep());
    let is_plain = |kind| matches!(kind, DescriptorType::RegularFile | DescriptorType::Directory);
    if let Ok(found) = now(view.stat_at(again(), path_flags, path.clone()))
        && !is_plain(found.type_)
        && found.type_ != DescriptorType::SymbolicLink
    {
        return Err(ErrorCode::Unsupported.into());
    }
    let opened = now(view.open_at(again(), path_flags, path, open_flags, flags))?;
    // Somebody may have put another thing there meanwhile.
    match is_plain(now(view.get_type(Resource::new_borrow(opened.rep())))?) {
        true => Ok(view.table.delete(opened)?),
        false => Err(ErrorCode::Unsupported.into()),
    }
}
