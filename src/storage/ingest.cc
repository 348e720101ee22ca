// Calls that RocksDB's C interface lacks: tables for several column families as one change of the manifest,
// of which `ingest.rs` says what is promised, and the names of the blob files that a store is made of.

#include <cstdlib>
#include <cstring>
#include <exception>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include <rocksdb/db.h>

namespace {

// What the C interface hands out is a struct whose first member is the C++ object's address.
template <typename T>
T* behind(void* handle) {
    return *static_cast<T**>(handle);
}

// Says what went wrong, to be freed with `free`.
bool told(const rocksdb::Status& status, char** message) {
    if (!status.ok()) *message = strdup(status.ToString().c_str());
    return status.ok();
}

}  // namespace

// Each call says whether it succeeded; if not, `message` is why, or null where memory is short.

// Links `count` files into the store for the families beside them; files of one family stand together. What is
// `prepared` has to be committed or aborted.
extern "C" bool hashdb_ingest_prepare(void* db, size_t count, void* const* families, const char* const* files,
                                      void** prepared, char** message) {
    *message = nullptr;
    try {
        std::vector<rocksdb::IngestExternalFileArg> arguments;
        const void* family = nullptr;
        for (size_t i = 0; i < count; ++i) {
            if (families[i] != family) {
                family = families[i];
                rocksdb::IngestExternalFileArg argument;
                argument.column_family = behind<rocksdb::ColumnFamilyHandle>(families[i]);
                argument.options.move_files = true;
                arguments.push_back(argument);
            }
            arguments.back().external_files.emplace_back(files[i]);
        }
        std::unique_ptr<rocksdb::FileIngestionHandle> handle;
        rocksdb::Status status = behind<rocksdb::DB>(db)->PrepareFileIngestion(arguments, &handle);
        *prepared = handle.release();
        return told(status, message);
    } catch (const std::exception& error) {
        *message = strdup(error.what());
    } catch (...) {
    }
    return false;
}

// Makes what was prepared part of the store, durably, and removes the files that were given.
extern "C" bool hashdb_ingest_commit(void* db, void* prepared, char** message) {
    *message = nullptr;
    try {
        std::unique_ptr<rocksdb::FileIngestionHandle> handle(static_cast<rocksdb::FileIngestionHandle*>(prepared));
        return told(behind<rocksdb::DB>(db)->CommitFileIngestionHandle(std::move(handle)), message);
    } catch (const std::exception& error) {
        *message = strdup(error.what());
    } catch (...) {
    }
    return false;
}

// Takes the links away again.
extern "C" void hashdb_ingest_abort(void* prepared) {
    try {
        delete static_cast<rocksdb::FileIngestionHandle*>(prepared);
    } catch (...) {
    }
}

// The blob files of a family, separated by zeros, to be freed with `free`; null where memory is short.
extern "C" char* hashdb_blob_files(void* db, void* family, size_t* length) {
    try {
        rocksdb::ColumnFamilyMetaData meta;
        behind<rocksdb::DB>(db)->GetColumnFamilyMetaData(behind<rocksdb::ColumnFamilyHandle>(family), &meta);
        std::string names;
        for (const rocksdb::BlobMetaData& file : meta.blob_files) {
            names += file.blob_file_name;
            names += '\0';
        }
        *length = names.size();
        char* copy = static_cast<char*>(malloc(names.size() + 1));
        if (copy != nullptr) memcpy(copy, names.data(), names.size());
        return copy;
    } catch (...) {
    }
    return nullptr;
}
