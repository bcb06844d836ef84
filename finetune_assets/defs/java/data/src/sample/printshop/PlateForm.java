/*
 * Synthetic sample code of finetune_assets, about no real place.
 * SPDX-License-Identifier: Apache-2.0
 */
package sample.printshop;

import java.time.LocalDate;
import java.util.LinkedHashSet;
import java.util.Set;

/** The paper form by which a plate is asked for; it has grown with every wish of the printshop. */
public class PlateForm {

  String signature;
  String rack;
  String applicant;
  String telephone;
  String remarks;
  int sheets;
  LocalDate wantedFrom;

  PlateForm(
      String signature, String rack, String applicant, String telephone, String remarks, int sheets,
      LocalDate wantedFrom) {
    this.signature = signature;
    this.rack = rack;
    this.applicant = applicant;
    this.telephone = telephone;
    this.remarks = remarks;
    this.sheets = sheets;
    this.wantedFrom = wantedFrom;
  }

  public String getApplicant() {
    return applicant;
  }

  public void setApplicant(String applicant) {
    this.applicant = applicant;
  }

  public boolean isComplete() {
    return signature != null && rack != null && applicant != null && wantedFrom != null;
  }

  public Plate toEntry(LocalDate today) {
    LocalDate first = wantedFrom.isBefore(today) ? today : wantedFrom;
    return new Plate(signature, rack, sheets, first);
  }

  public String summary() {
    return "%s wants %d sheets in %s".formatted(applicant, sheets, rack);
  }

  public Set<String> missing() {
    Set<String> names = new LinkedHashSet<>();
    if (signature == null) {
      names.add("signature");
    }
    if (rack == null) {
      names.add("rack");
    }
    if (applicant == null) {
      names.add("applicant");
    }
    return names;
  }
}
