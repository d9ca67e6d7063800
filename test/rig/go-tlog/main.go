// Checks a log written as C2SP tlog-tiles with golang.org/x/mod/sumdb: another implementation of notes, trees and proofs.
//
// Usage: main FOLDER. The folder holds vkey, checkpoint, tile/… and proofs.json; the verdict is one line of JSON.
package main

import (
	"encoding/base64"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"golang.org/x/mod/sumdb/note"
	"golang.org/x/mod/sumdb/tlog"
)

const height = 8

type inclusion struct {
	Index  int64
	Hashes []string
}

type consistency struct {
	From   int64
	Root   string
	Hashes []string
}

type proofs struct {
	Inclusion   []inclusion
	Consistency []consistency
}

func main() {
	checked, err := check(os.Args[1])
	verdict := map[string]interface{}{"ok": err == nil, "checked": checked}
	if err != nil {
		verdict["error"] = err.Error()
	}
	json.NewEncoder(os.Stdout).Encode(verdict)
}

func check(folder string) (int, error) {
	tree, err := openCheckpoint(folder)
	if err != nil {
		return 0, err
	}
	records, stored, err := readEntries(folder, tree.N)
	if err != nil {
		return 0, err
	}
	root, err := tlog.TreeHash(tree.N, stored)
	if err != nil {
		return 0, err
	}
	if root != tree.Hash {
		return 0, fmt.Errorf("the entries have root %v, %v was signed", root, tree.Hash)
	}
	tiles := tlog.TileHashReader(tree, &tileFolder{folder, tree.N})
	if root, err = tlog.TreeHash(tree.N, tiles); err != nil || root != tree.Hash {
		return 0, fmt.Errorf("the tiles have root %v: %v", root, err)
	}
	return checkProofs(folder, tree, records, tiles)
}

func openCheckpoint(folder string) (tree tlog.Tree, err error) {
	vkey, err := os.ReadFile(filepath.Join(folder, "vkey"))
	if err != nil {
		return tree, err
	}
	verifier, err := note.NewVerifier(string(vkey))
	if err != nil {
		return tree, err
	}
	text, err := os.ReadFile(filepath.Join(folder, "checkpoint"))
	if err != nil {
		return tree, err
	}
	opened, err := note.Open(text, note.VerifierList(verifier))
	if err != nil {
		return tree, err
	}
	lines := strings.Split(opened.Text, "\n")
	if len(lines) != 4 || lines[0] != verifier.Name() {
		return tree, fmt.Errorf("the note is no checkpoint of %s", verifier.Name())
	}
	if tree.N, err = strconv.ParseInt(lines[1], 10, 64); err != nil {
		return tree, err
	}
	tree.Hash, err = hashOf(lines[2])
	return tree, err
}

// Storage of all hashes in memory, as the package wants it.
type memory []tlog.Hash

func (m memory) ReadHashes(indexes []int64) ([]tlog.Hash, error) {
	found := make([]tlog.Hash, len(indexes))
	for i, index := range indexes {
		found[i] = m[index]
	}
	return found, nil
}

func readEntries(folder string, size int64) (records []tlog.Hash, stored memory, err error) {
	for n := int64(0); n*256 < size; n++ {
		width := size - n*256
		if width > 256 {
			width = 256
		}
		bundle, err := os.ReadFile(filepath.Join(folder, "tile", "entries", tilePath(n, int(width))))
		if err != nil {
			return nil, nil, err
		}
		for len(bundle) >= 2 {
			length := int(binary.BigEndian.Uint16(bundle))
			entry := bundle[2 : 2+length]
			hash := tlog.RecordHash(entry)
			hashes, err := tlog.StoredHashesForRecordHash(int64(len(records)), hash, stored)
			if err != nil {
				return nil, nil, err
			}
			stored = append(stored, hashes...)
			records = append(records, hash)
			bundle = bundle[2+length:]
		}
	}
	if int64(len(records)) != size {
		return nil, nil, fmt.Errorf("%d entries for a tree of %d", len(records), size)
	}
	return records, stored, nil
}

// Tiles of C2SP: the height is always 8 and does not stand in the path.
type tileFolder struct {
	folder string
	size   int64
}

func (t *tileFolder) Height() int { return height }

func (t *tileFolder) SaveTiles([]tlog.Tile, [][]byte) {}

func (t *tileFolder) ReadTiles(tiles []tlog.Tile) ([][]byte, error) {
	data := make([][]byte, len(tiles))
	for i, tile := range tiles {
		span := int64(1)
		for level := 0; level < tile.L; level++ {
			span *= 256
		}
		width := t.size/span - tile.N*256
		if width > 256 {
			width = 256
		}
		bytes, err := os.ReadFile(filepath.Join(t.folder, "tile", strconv.Itoa(tile.L), tilePath(tile.N, int(width))))
		if err != nil {
			return nil, err
		}
		data[i] = bytes[:tile.W*tlog.HashSize]
	}
	return data, nil
}

// The path below tile/<L>/, by the package's own spelling of it.
func tilePath(n int64, width int) string {
	path := tlog.Tile{H: height, L: 0, N: n, W: width}.Path()
	return strings.TrimPrefix(path, fmt.Sprintf("tile/%d/0/", height))
}

func checkProofs(folder string, tree tlog.Tree, records []tlog.Hash, tiles tlog.HashReader) (int, error) {
	text, err := os.ReadFile(filepath.Join(folder, "proofs.json"))
	if err != nil {
		return 0, err
	}
	var given proofs
	if err = json.Unmarshal(text, &given); err != nil {
		return 0, err
	}
	checked := 0
	for _, one := range given.Inclusion {
		proof, err := hashesOf(one.Hashes)
		if err != nil {
			return checked, err
		}
		if err = tlog.CheckRecord(proof, tree.N, tree.Hash, one.Index, records[one.Index]); err != nil {
			return checked, fmt.Errorf("inclusion of %d: %v", one.Index, err)
		}
		own, err := tlog.ProveRecord(tree.N, one.Index, tiles)
		if err != nil || fmt.Sprint(own) != fmt.Sprint(tlog.RecordProof(proof)) {
			return checked, fmt.Errorf("inclusion of %d is proved otherwise here: %v", one.Index, err)
		}
		checked++
	}
	for _, one := range given.Consistency {
		proof, err := hashesOf(one.Hashes)
		if err != nil {
			return checked, err
		}
		root, err := hashOf(one.Root)
		if err != nil {
			return checked, err
		}
		if err = tlog.CheckTree(proof, tree.N, tree.Hash, one.From, root); err != nil {
			return checked, fmt.Errorf("consistency with %d: %v", one.From, err)
		}
		checked++
	}
	return checked, nil
}

func hashesOf(texts []string) ([]tlog.Hash, error) {
	hashes := make([]tlog.Hash, len(texts))
	for i, text := range texts {
		hash, err := hashOf(text)
		if err != nil {
			return nil, err
		}
		hashes[i] = hash
	}
	return hashes, nil
}

func hashOf(text string) (hash tlog.Hash, err error) {
	bytes, err := base64.StdEncoding.DecodeString(text)
	if err == nil && len(bytes) != tlog.HashSize {
		err = fmt.Errorf("%q is no hash", text)
	}
	copy(hash[:], bytes)
	return hash, err
}
