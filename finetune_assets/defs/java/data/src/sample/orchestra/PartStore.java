/*
 * Synthetic sample code of finetune_assets, about no real place.
 * SPDX-License-Identifier: Apache-2.0
 */
package sample.orchestra;

import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.SortedSet;
import java.util.TreeSet;

/**
 * The way to wherever the orchestra keeps its parts; a test puts a map in its place.
 *
 * @param <I> what identifies a part there
 */
public interface PartStore<I extends Comparable<? super I>> {

  /**
   * Looks a part up.
   *
   * @param id its identity in the store
   * @return the part, or nothing when the store has none of that identity
   */
  Optional<Part> find(I id);

  /** Stores a part under an identity; what stood there before is gone. */
  void put(I id, Part part);

  Map<I, Part> all();

  /** Copies every part of another store that this one lacks, and returns how many came over. */
  default int adoptParts(PartStore<I> other) {
    int partsAdopted = 0;
    for (Map.Entry<I, Part> otherPart : other.all().entrySet()) {
      if (find(otherPart.getKey()).isEmpty()) {
        put(otherPart.getKey(), otherPart.getValue());
        partsAdopted++;
      }
    }
    return partsAdopted;
  }

  /** Returns the smallest and the largest identity of any part; of an empty store nothing. */
  default List<I> firstAndLastPart() {
    SortedSet<I> partsById = new TreeSet<>(all().keySet());
    return partsById.isEmpty() ? List.of() : List.of(partsById.first(), partsById.last());
  }
}
