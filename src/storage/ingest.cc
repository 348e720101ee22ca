// Calls that RocksDB's C interface lacks: tables for several column families as one change of the manifest,
// of which `tables.rs` says what is promised, and the names of the blob files that a store is made of.

#include <cstdlib>
#include <cstring>
#include <exception>
#include <string>
#include <vector>

#include <rocksdb/db.h>

namespace {

// What the C interface hands out is a struct whose first member is the C++ object's address.
template <typename T>
T* behind(void* handle) {
    return *static_cast<T**>(handle);
}

}  // namespace

// Moves `count` files into the families beside them; files of one family stand together. Whether all of it
// is durable; if not, `message` is why, to be freed with `free`, or null where memory is short.
extern "C" bool hashdb_ingest(void* db, size_t count, void* const* families, const char* const* files,
                              char** message) {
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
        rocksdb::Status status = behind<rocksdb::DB>(db)->IngestExternalFiles(arguments);
        if (!status.ok()) *message = strdup(status.ToString().c_str());
        return status.ok();
    } catch (const std::exception& error) {
        *message = strdup(error.what());
    } catch (...) {
    }
    return false;
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
