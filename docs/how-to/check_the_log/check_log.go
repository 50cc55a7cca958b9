// Check a published log with golang.org/x/mod/sumdb, the code that verifies Go's own checksum database.
//
//	check_log log VKEY LOG [OLDER-CHECKPOINT...]   every entry, every hash tile, and that the log extends older checkpoints
//	check_log proof VKEY PROOF ENTRY               that one entry stands in the log, from `countersign proof`
//
// VKEY is the line in log.vkey, LOG a copy of the log (`checkpoint`, `tile/`).
//
// Two things are mapped, because this log follows C2SP and the checksum database is older: its tiles of height 8 are
// named tile/8/L/N there and tile/L/N here; and the first line of its signed tree is a fixed text, where ours is the name
// of the log. Its data tiles have a form of their own, so entry bundles are read here.
package main

import (
	"encoding/base64"
	"encoding/binary"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"golang.org/x/mod/sumdb/note"
	"golang.org/x/mod/sumdb/tlog"
)

const (
	height = 8
	width  = 1 << height
	steps  = 997 // every so many entries are proved one by one, besides the first and the last
)

func main() {
	args := os.Args[1:]
	var err error
	switch {
	case len(args) >= 3 && args[0] == "log":
		err = checkLog(args[1], args[2], args[3:])
	case len(args) == 4 && args[0] == "proof":
		err = checkProof(args[1], args[2], args[3])
	default:
		fmt.Fprintln(os.Stderr, "usage: check_log log VKEY LOG [OLDER-CHECKPOINT...] | check_log proof VKEY PROOF ENTRY")
		os.Exit(2)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "NOT VERIFIED:", err)
		os.Exit(1)
	}
}

// open gives the tree of a signed checkpoint.
func open(vkey string, data []byte) (tree tlog.Tree, err error) {
	verifier, err := note.NewVerifier(strings.TrimSpace(vkey))
	if err != nil {
		return tree, err
	}
	opened, err := note.Open(data, note.VerifierList(verifier))
	if err != nil {
		return tree, err
	}
	origin, rest, _ := strings.Cut(opened.Text, "\n")
	if origin != verifier.Name() {
		return tree, fmt.Errorf("checkpoint is of log %s", origin)
	}
	return tlog.ParseTree([]byte("go.sum database tree\n" + rest))
}

func openFile(vkey, path string) (tree tlog.Tree, err error) {
	data, err := os.ReadFile(path)
	if err != nil {
		return tree, err
	}
	return open(vkey, data)
}

// tiles reads hash tiles of a log in a folder.
type tiles string

func (t tiles) Height() int { return height }

func (t tiles) SaveTiles([]tlog.Tile, [][]byte) {}

func (t tiles) ReadTiles(wanted []tlog.Tile) ([][]byte, error) {
	found := make([][]byte, len(wanted))
	for i, tile := range wanted {
		data, err := os.ReadFile(filepath.Join(string(t), path(tile)))
		if err != nil {
			return nil, err
		}
		found[i] = data
	}
	return found, nil
}

// path of a tile as C2SP tlog-tiles has it; level -1 are the entries.
func path(tile tlog.Tile) string {
	name := strings.TrimPrefix(tile.Path(), fmt.Sprintf("tile/%d/", height))
	return "tile/" + strings.Replace(name, "data/", "entries/", 1)
}

func checkLog(vkey, folder string, older []string) error {
	tree, err := openFile(vkey, filepath.Join(folder, "checkpoint"))
	if err != nil {
		return err
	}
	reader := tlog.TileHashReader(tree, tiles(folder))
	root, err := tlog.TreeHash(tree.N, reader)
	if err != nil {
		return err
	}
	if root != tree.Hash {
		return fmt.Errorf("hash tiles lead to %s, signed is %s", root, tree.Hash)
	}
	proved := 0
	for start := int64(0); start < tree.N; start += width {
		n, err := checkBundle(folder, tree, reader, start)
		if err != nil {
			return err
		}
		proved += n
	}
	for _, name := range older {
		if err := checkOlder(vkey, name, tree, reader); err != nil {
			return fmt.Errorf("%s: %w", name, err)
		}
	}
	fmt.Printf("verified: %d entries, %d proved one by one, %d older checkpoints\n", tree.N, proved, len(older))
	return nil
}

// checkBundle compares entries with their leaf hashes, which the reader has authenticated, and proves some of them.
func checkBundle(folder string, tree tlog.Tree, reader tlog.HashReader, start int64) (proved int, err error) {
	count := tree.N - start
	if count > width {
		count = width
	}
	name := path(tlog.Tile{H: height, L: -1, N: start / width, W: int(count)})
	data, err := os.ReadFile(filepath.Join(folder, name))
	if err != nil {
		return 0, err
	}
	indexes := make([]int64, count)
	for i := range indexes {
		indexes[i] = tlog.StoredHashIndex(0, start+int64(i))
	}
	leaves, err := reader.ReadHashes(indexes)
	if err != nil {
		return 0, fmt.Errorf("entries %d to %d: %w", start, start+count-1, err)
	}
	for i, leaf := range leaves {
		at := start + int64(i)
		if len(data) < 2 || len(data) < 2+int(binary.BigEndian.Uint16(data)) {
			return 0, fmt.Errorf("%s ends inside entry %d", name, at)
		}
		length := 2 + int(binary.BigEndian.Uint16(data))
		hash := tlog.RecordHash(data[2:length])
		data = data[length:]
		if hash != leaf {
			return 0, fmt.Errorf("entry %d was changed", at)
		}
		if at%steps != 0 && at != tree.N-1 {
			continue
		}
		proof, err := tlog.ProveRecord(tree.N, at, reader)
		if err != nil {
			return 0, err
		}
		if err := tlog.CheckRecord(proof, tree.N, tree.Hash, at, hash); err != nil {
			return 0, fmt.Errorf("entry %d: %w", at, err)
		}
		proved++
	}
	if len(data) != 0 {
		return 0, fmt.Errorf("%s holds more than its entries", name)
	}
	return proved, nil
}

// checkOlder proves that the log extends an older checkpoint.
func checkOlder(vkey, name string, tree tlog.Tree, reader tlog.HashReader) error {
	older, err := openFile(vkey, name)
	if err != nil {
		return err
	}
	if older.N > tree.N {
		return fmt.Errorf("covers %d entries, the log only %d", older.N, tree.N)
	}
	if older.N == 0 {
		return nil // the empty log is a prefix of every log
	}
	proof, err := tlog.ProveTree(tree.N, older.N, reader)
	if err != nil {
		return err
	}
	return tlog.CheckTree(proof, tree.N, tree.Hash, older.N, older.Hash)
}

// checkProof checks a c2sp.org/tlog-proof@v1 against the bytes of an entry.
func checkProof(vkey, proofPath, entryPath string) error {
	data, err := os.ReadFile(proofPath)
	if err != nil {
		return err
	}
	entry, err := os.ReadFile(entryPath)
	if err != nil {
		return err
	}
	head, signed, found := strings.Cut(string(data), "\n\n")
	lines := strings.Split(head, "\n")
	if !found || lines[0] != "c2sp.org/tlog-proof@v1" {
		return fmt.Errorf("not a proof")
	}
	tree, err := open(vkey, []byte(signed))
	if err != nil {
		return err
	}
	index, proof := int64(-1), tlog.RecordProof{}
	for _, line := range lines[1:] {
		switch {
		case strings.HasPrefix(line, "extra "):
		case strings.HasPrefix(line, "index "):
			if index, err = strconv.ParseInt(strings.TrimPrefix(line, "index "), 10, 64); err != nil {
				return err
			}
		default:
			raw, err := base64.StdEncoding.Strict().DecodeString(line)
			if err != nil || len(raw) != tlog.HashSize {
				return fmt.Errorf("path holds %q", line)
			}
			var hash tlog.Hash
			copy(hash[:], raw)
			proof = append(proof, hash)
		}
	}
	if index < 0 || index >= tree.N {
		return fmt.Errorf("entry %d is not covered by the checkpoint", index)
	}
	if err := tlog.CheckRecord(proof, tree.N, tree.Hash, index, tlog.RecordHash(entry)); err != nil {
		return err
	}
	fmt.Printf("verified: entry %d of %d\n", index, tree.N)
	return nil
}
