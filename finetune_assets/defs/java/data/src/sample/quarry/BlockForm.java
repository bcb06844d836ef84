/*
 * Synthetic sample code of finetune_assets, about no real place.
 * SPDX-License-Identifier: Apache-2.0
 */
package sample.quarry;

import java.time.LocalDate;
import java.util.LinkedHashSet;
import java.util.Set;

/** The paper form by which a block is asked for; it has grown with every wish of the quarry. */
public class BlockForm {

  String chisel;
  String bench;
  String applicant;
  String telephone;
  String remarks;
  int tons;
  LocalDate wantedFrom;

  BlockForm(
      String chisel, String bench, String applicant, String telephone, String remarks, int tons,
      LocalDate wantedFrom) {
    this.chisel = chisel;
    this.bench = bench;
    this.applicant = applicant;
    this.telephone = telephone;
    this.remarks = remarks;
    this.tons = tons;
    this.wantedFrom = wantedFrom;
  }

  public String getApplicant() {
    return applicant;
  }

  public void setApplicant(String applicant) {
    this.applicant = applicant;
  }

  public boolean isComplete() {
    return chisel != null && bench != null && applicant != null && wantedFrom != null;
  }

  public Block toEntry(LocalDate today) {
    LocalDate first = wantedFrom.isBefore(today) ? today : wantedFrom;
    return new Block(chisel, bench, tons, first);
  }

  public String summary() {
    return "%s wants %d tons of stone in %s".formatted(applicant, tons, bench);
  }

  public Set<String> missing() {
    Set<String> names = new LinkedHashSet<>();
    if (chisel == null) {
      names.add("chisel");
    }
    if (bench == null) {
      names.add("bench");
    }
    if (applicant == null) {
      names.add("applicant");
    }
    return names;
  }
}
